"""The stacks that are compared: one endpoint, and what each of them puts around it.

    python -m benchmarks.service.stacks STACK PORT

serves `/items/{item_id}`, `/work` (for the overload) and `/upload` on that port of loopback until SIGTERM (`limited`
and `unlimited`: `/work` only). Access logs go to standard output, as in a container; traces go to a `receiver` that
forgets them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prodkit import Settings, create_app, run

_log = logging.getLogger("tutorial")
_request_id: ContextVar[str] = ContextVar("tutorial_request_id", default="")


class Item(BaseModel):
    """What the endpoint answers with."""

    id: int
    name: str
    price_cents: int
    tags: list[str]


async def read_item(item_id: int) -> Item:
    """The endpoint of every stack: a path parameter in, a validated model out."""
    return Item(id=item_id, name=f"Item {item_id}", price_cents=4900, tags=["oak", "lamp"])


async def read_body(request: Request) -> int:
    """Takes a body into memory, as far as it is let."""
    return len(await request.body())


async def work() -> str:
    """Takes 4 ms of the processor and waits 20 ms: some 240 requests a second."""
    end = time.thread_time() + 0.004
    while time.thread_time() < end:
        pass
    await asyncio.sleep(0.02)
    return "done"


def bare(port: int) -> None:
    """FastAPI on uvicorn with uvloop and httptools, and nothing else: no access log, no ids, no metrics."""
    app = FastAPI()
    _add_endpoints(app)
    on_uvicorn(app, port)


def full(port: int, *, trace_ratio: float = 0.0) -> None:
    """prodkit with its defaults: ids, JSON access log, metrics, headers, overload limiter, limits, drain."""
    settings = Settings.load(
        name="bench",
        host="127.0.0.1",
        port=port,
        admin_port=int(os.environ.get("ADMIN_PORT", "0")),
        otlp_endpoint=os.environ["RECEIVER"] if trace_ratio else "",
        trace_ratio=trace_ratio,
    )
    app = create_app(settings)
    _add_endpoints(app)
    run(app)


def tutorial(port: int) -> None:
    """What tutorials add: four `BaseHTTPMiddleware`, an instrumentator, JSON through the standard library."""
    app = FastAPI()
    _add_endpoints(app)
    for dispatch in (_add_headers, _add_duration, _log_request, _give_id):  # the last one is the outermost
        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    Instrumentator().instrument(app).expose(app)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    on_uvicorn(app, port)


def loaded(port: int, *, limit: bool) -> None:
    """prodkit with and without its limiter."""
    settings = Settings.load(
        name="bench", host="127.0.0.1", port=port, admin_port=0, overload_limit=limit, access_log=False
    )
    app = create_app(settings)
    app.get("/work")(work)
    run(app)


def receiver(port: int) -> None:
    """Takes OTLP over HTTP and forgets it."""
    app = FastAPI()
    app.post("/v1/traces")(lambda: Response(media_type="application/x-protobuf"))
    on_uvicorn(app, port)


def peer(port: int) -> None:
    """What a careful team picks: pure ASGI for the ids, structlog through logging, the instrumentator."""
    app = FastAPI()
    _add_endpoints(app)
    app.add_middleware(_PeerIds)
    Instrumentator().instrument(app).expose(app)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer()
        )
    )
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    on_uvicorn(app, port)


class _PeerIds:
    """Request id and access line, as one pure-ASGI layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.stdlib.get_logger("access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = dict(scope["headers"]).get(b"x-request-id", b"").decode() or str(uuid.uuid4())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            duration = round((time.perf_counter() - started) * 1000, 3)
            self._log.info(
                "request", method=scope["method"], path=scope["path"], status=status, duration_ms=duration
            )


async def _give_id(request: Request, call_next: RequestResponseEndpoint) -> Response:
    request_id = request.headers.get("x-request-id", "") or str(uuid.uuid4())
    _request_id.set(request_id)
    response = await call_next(request)
    response.headers["x-request-id"] = request_id
    return response


async def _log_request(request: Request, call_next: RequestResponseEndpoint) -> Response:
    started = time.perf_counter()
    response = await call_next(request)
    _log.info(
        "request",
        extra={
            "method": request.method,
            "path": request.url.path,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - started) * 1000, 3),
            "client": request.client.host if request.client else "",
        },
    )
    return response


async def _add_duration(request: Request, call_next: RequestResponseEndpoint) -> Response:
    started = time.perf_counter()
    response = await call_next(request)
    response.headers["x-process-time"] = f"{time.perf_counter() - started:.6f}"
    return response


async def _add_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["referrer-policy"] = "no-referrer"
    response.headers["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers["cache-control"] = "no-store"
    return response


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    _FIELDS = ("method", "path", "status", "duration_ms", "client")

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": self.formatTime(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "request_id": _request_id.get(),
        }
        return json.dumps(line | {name: getattr(record, name, None) for name in self._FIELDS})


def _add_endpoints(app: FastAPI) -> None:
    app.get("/items/{item_id}")(read_item)
    app.get("/work")(work)
    app.post("/upload")(read_body)


def on_uvicorn(app: FastAPI, port: int) -> None:
    """Serve on stock uvicorn, at its fastest."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


_STACKS: dict[str, Callable[[int], None]] = {
    "bare": bare,
    "full": full,
    "full_traced_10": partial(full, trace_ratio=0.1),
    "full_traced_100": partial(full, trace_ratio=1.0),
    "limited": partial(loaded, limit=True),
    "unlimited": partial(loaded, limit=False),
    "peer": peer,
    "receiver": receiver,
    "tutorial": tutorial,
}

if __name__ == "__main__":
    _STACKS[sys.argv[1]](int(sys.argv[2]))
