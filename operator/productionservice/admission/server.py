"""The HTTPS endpoint that the API server calls. Every replica serves it, leading or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from aiohttp import web

from productionservice import metrics
from productionservice.admission.certificate import ServingCertificate
from productionservice.admission.review import Advise, BadReview, answer
from productionservice.engine.health import CannotListen

log = structlog.get_logger(__name__)

PATH = "/validate/productionservices"
"""Where the chart's configuration sends reviews."""
LARGEST = 8 * 1024**2
"""Bytes of a review: it may hold two versions of an object, and the API server takes 3 MiB for each."""
KEEP_ALIVE_SECONDS = 120.0
"""Longer than the API server keeps an idle connection (90 s), so that it is never the server who closes one in use."""
MOST_CONNECTIONS = 256
"""Open at the same time. An API server keeps 25 idle ones; hundreds are somebody else's, who may connect as well."""
HANDSHAKE_SECONDS = 5.0
"""Longest TLS handshake: no connection costs memory for longer without having said anything."""
PATIENCE_SECONDS = 2.0
"""How long answers under way may take when the server ends; they take milliseconds."""


class WebhookCannotListen(CannotListen):
    """The webhook's port is taken, or the address is not ours."""

    setting = "WEBHOOK_PORT"


class Webhook:
    """Answers reviews, and counts them under controller-runtime's names."""

    def __init__(self, advise: Advise) -> None:
        self._advise = advise
        for status in ("200", "400", "500"):
            metrics.WEBHOOK_REQUESTS.labels(PATH, status)  # series exist at 0 from the first scrape
        metrics.WEBHOOK_IN_FLIGHT.labels(PATH)
        metrics.WEBHOOK_LATENCY.labels(PATH)

    async def __call__(self, request: web.Request) -> web.Response:
        """One review. 400 for what is none, 500 when we fail: the API server then goes on without us."""
        with (
            metrics.WEBHOOK_IN_FLIGHT.labels(PATH).track_inprogress(),
            metrics.WEBHOOK_LATENCY.labels(PATH).time(),
        ):
            status, body = self._answer(await request.read())
        metrics.WEBHOOK_REQUESTS.labels(PATH, str(status)).inc()
        return web.Response(status=status, body=body, content_type="application/json")

    def _answer(self, content: bytes) -> tuple[int, bytes]:
        review: Any = None
        try:
            review = orjson.loads(content)
            return 200, orjson.dumps(answer(review, self._advise))
        except (orjson.JSONDecodeError, BadReview) as error:
            return 400, orjson.dumps({"error": str(error)})
        except Exception:
            request = review["request"]  # or it would have been a BadReview
            log.exception(
                "a review failed: the object was let through without advice",
                namespace=request.get("namespace"), name=request.get("name"), review=request["uid"],
            )  # fmt: skip
            return 500, orjson.dumps({"error": "see the operator's log"})


@contextlib.asynccontextmanager
async def serve(advise: Advise, folder: Path | None, host: str, port: int) -> AsyncIterator[None]:
    """Serve while the block runs, with the certificate in `folder`; without a folder do nothing.

    Raises WebhookCannotListen.
    """
    if folder is None:
        yield
        return
    certificate = ServingCertificate(folder)
    metrics.WEBHOOK_CERTIFICATE_ENDS.set(0)
    certificate.refresh()
    app = web.Application(client_max_size=LARGEST)
    app.router.add_post(PATH, Webhook(advise).__call__)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    await runner.setup()
    following = asyncio.create_task(certificate.follow(), name="webhook-certificate")
    try:
        listener = await _listen(runner, certificate, host, port)
        log.info("serving admission reviews", webhook=[str(s.getsockname()) for s in listener.sockets])
        try:
            yield
        finally:
            listener.close()  # without waiting: the API server's idle connections are closed below
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await runner.cleanup()


async def _listen(
    runner: web.AppRunner, certificate: ServingCertificate, host: str, port: int
) -> asyncio.Server:
    """Listen, with the bounds that aiohttp's own sites do not know. Raises WebhookCannotListen."""
    handlers = cast("web.Server", runner.server)  # it is set up

    def connect() -> asyncio.Protocol:
        return handlers() if len(handlers.connections) < MOST_CONNECTIONS else _Full()

    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            connect, host, port, ssl=certificate.context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
    except OSError as error:
        raise WebhookCannotListen(f"cannot listen on {host}:{port} ({error.strerror or error})") from error


class _Full(asyncio.Protocol):
    """Hangs up: the API server goes on without us."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
