"""One pure-ASGI layer around an application: ids, access log, metrics, headers, last errors, body limit.

One layer instead of six, because each layer costs every request (a `BaseHTTPMiddleware` more than 100 µs) and
because only the outermost one sees every response: also 404, 405, 413, 500 and the 503 of a drain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prodkit import contract, correlation
from prodkit.access import AccessLog
from prodkit.lifecycle import Lifecycle
from prodkit.limiter import Limiter
from prodkit.metrics import Metrics
from prodkit.problems import MEDIA_TYPE, Problem, problem_body

if TYPE_CHECKING:
    from prodkit.tracing import ServerSpan, Tracing

logger = structlog.get_logger("prodkit.telemetry")

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""On every response. HSTS is the business of whoever ends TLS."""
NO_STORE = (b"cache-control", b"no-store")
HEAD_BLOCK = "prodkit.head_block"
"""ASGI extension of `prodkit.protocol`: finished header lines, sent after the message's own headers."""
CLIENT_CLOSED = 499
"""Status in log and metrics when the client went away before any response (nginx's number)."""
_USER_AGENT_CHARS = 256
_PATH_CHARS = 1024
_METHOD_CHARS = 32
_OWN = (*SECURITY_HEADERS, NO_STORE)
_OWN_NAMES = frozenset((b"x-request-id", *(name for name, _ in _OWN)))
OWN_BLOCK = b"".join(b"%b: %b\r\n" % item for item in _OWN) + b"x-request-id: "
"""Our header lines, up to the value of the request id."""
_READ = frozenset((b"x-request-id", b"traceparent", b"user-agent", b"content-length", b"transfer-encoding"))
_NO_EXTENSIONS: dict[str, Any] = {}


class Telemetry:
    """Wrap `app`. Every part may be left out: no `access_log` means no lines, no `metrics` no series."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics | None = None,
        access_log: AccessLog | None = None,
        lifecycle: Lifecycle | None = None,
        body_bytes: int = 0,
        limiter: Limiter | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.app = app
        self.limiter = limiter
        self.tracing = tracing
        self._threshold = tracing.threshold if tracing is not None else ""
        self.metrics = metrics or Metrics()
        self.access_log = access_log
        self.lifecycle = lifecycle or Lifecycle()
        self.body_bytes = body_bytes
        """Largest request body; 0 means no limit."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.body_bytes, self._threshold)
        correlation.enter(exchange.context)
        metrics = self.metrics
        metrics.in_flight += 1
        try:
            if self.tracing is not None and exchange.context.sampled:
                exchange.span = self.tracing.begin(exchange.context, scope)
            if exchange.too_large:
                await exchange.answer(413, f"the body may have {self.body_bytes} bytes", close=True)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass  # while its body was read: nobody is left to answer, and nothing is broken
        except Exception as error:  # noqa: BLE001  the last resort: whatever it is becomes a 500 and a log line
            await self._failed(exchange, error)
        except asyncio.CancelledError:
            if exchange.status or not self.lifecycle.draining:
                raise
            await exchange.answer(503, "this instance is shutting down: try again", close=True, retry=True)
        finally:
            metrics.in_flight -= 1
            self._record(exchange)

    async def _failed(self, exchange: _Exchange, error: Exception) -> None:
        logger.error("unhandled exception", exc_info=error, path=exchange.scope["path"][:_PATH_CHARS])
        exchange.failure = error
        if not exchange.status:
            await exchange.answer(500)

    def _record(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        scope = exchange.scope
        method = scope["method"]
        route = route_template(scope)
        status = exchange.status or CLIENT_CLOSED
        context = exchange.context
        span = exchange.span
        if span is not None:
            span.end("" if route == contract.UNMATCHED_ROUTE else route, exchange.status, exchange.failure)
        self.metrics.observe(method, route, status, seconds, context.trace_id if span is not None else "")
        if self.limiter is not None and not exchange.streamed and exchange.status:
            self.limiter.gradient.record(route, seconds)
        if self.access_log is None:
            return
        client = scope.get("client")
        self.access_log.write(
            status,
            {
                "request_id": context.request_id,
                "trace_id": context.trace_id,
                "span_id": context.span_id,
                "method": method[:_METHOD_CHARS],
                "route": route,
                "path": scope["path"][:_PATH_CHARS],
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "bytes": exchange.bytes_sent,
                "user_agent": exchange.user_agent,
                "client": client[0] if client else "",
            },
        )


class _Exchange:
    """One request and its response."""

    __slots__ = (
        "_body_left",
        "_receive",
        "_send",
        "bytes_sent",
        "context",
        "failure",
        "receive",
        "scope",
        "span",
        "started",
        "status",
        "streamed",
        "too_large",
        "user_agent",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_bytes: int, threshold: str) -> None:
        self.started = time.perf_counter()
        self.scope = scope
        self._send = send
        self.status = 0
        self.bytes_sent = 0
        self.user_agent = ""
        self.too_large = False
        self.span: ServerSpan | None = None
        self.failure: Exception | None = None
        self.streamed = False
        self.receive = receive
        request_id: bytes | None = None
        traceparent: bytes | None = None
        for name, value in scope["headers"]:
            if name not in _READ:
                continue
            if name == b"user-agent":
                self.user_agent = value[:_USER_AGENT_CHARS].decode("latin-1")
            elif name == b"x-request-id":
                request_id = value if request_id is None else b""  # two of them: somebody plays games
            elif name == b"traceparent":
                traceparent = value if traceparent is None else b""
            elif body_bytes:
                self._limit_body(name, value, body_bytes)
        self.context = correlation.make_context(request_id, traceparent, threshold)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the server, with our headers and our bookkeeping.

        A plain function, so that a message does not cost one more coroutine.
        """
        if message["type"] == "http.response.body":
            self.bytes_sent += len(message.get("body", b""))
            if message.get("more_body"):
                self.streamed = True
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(message)
        return self._send(message)

    async def answer(
        self, status: int, detail: str = "", *, close: bool = False, retry: bool = False
    ) -> None:
        """Send a problem as the whole response."""
        body = problem_body(status, detail)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        if close:
            headers.append((b"connection", b"close"))
        if retry:
            headers.append((b"retry-after", b"1"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _limit_body(self, name: bytes, value: bytes, body_bytes: int) -> None:
        if name == b"content-length":
            self.too_large = value.isdigit() and int(value) > body_bytes
        else:  # transfer-encoding: a chunked body says its size only while it comes
            self._body_left = body_bytes
            self._receive = self.receive
            self.receive = self._counted

    async def _counted(self) -> Message:
        message = await self._receive()
        self._body_left -= len(message.get("body", b""))
        if self._body_left < 0:
            raise Problem(413, "the body is too large", headers={"Connection": "close"})
        return message

    def _add_headers(self, message: Message) -> None:
        given = message.get("headers", ())
        request_id = self.context.request_id.encode("ascii")
        names = {name.lower() for name, _ in given}
        if not names.isdisjoint(_OWN_NAMES):  # the application has its own: they win, but for the id
            headers = [item for item in given if item[0].lower() != b"x-request-id"]
            headers.extend(item for item in _OWN if item[0] not in names)
            message["headers"] = [*headers, (b"x-request-id", request_id)]
        elif HEAD_BLOCK in self.scope.get("extensions", _NO_EXTENSIONS):
            message[HEAD_BLOCK] = b"%b%b\r\n" % (OWN_BLOCK, request_id)
        else:
            message["headers"] = [*given, *_OWN, (b"x-request-id", request_id)]


def route_template(scope: Scope) -> str:
    """The template of the route that took the request, with the prefixes it was included under."""
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(route, "path", None) or contract.UNMATCHED_ROUTE
