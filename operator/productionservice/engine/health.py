"""/healthz, /readyz and /metrics on one port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from productionservice import metrics
from productionservice.engine.reflector import Reflector
from productionservice.engine.resync import Resync

log = structlog.get_logger(__name__)

DEAD_SECONDS = 180.0
"""A watch that has said nothing for so long is dead: bookmarks come each minute, reconnects after 70 s."""


class CannotListen(Exception):
    """The port is taken, or the address is not ours."""

    setting = "HTTP_PORT"
    """Which setting chooses the port."""


class Health:
    """Ready: every cache is complete and every watch is alive. Leading is not needed: a standby is ready too."""

    def __init__(self, reflectors: Sequence[Reflector[Any]], resync: Resync) -> None:
        self._reflectors, self._resync = reflectors, resync
        self.stopping = False

    def faults(self) -> list[str]:
        """Why this replica is not ready, one line each."""
        found = ["stopping"] if self.stopping else []
        if not self._resync.synced.is_set():
            found.append("services: not listed yet")
        for reflector in self._reflectors:
            plural = reflector.resource.plural
            if not reflector.synced.is_set():
                found.append(f"{plural}: not listed yet")
            elif reflector.age > DEAD_SECONDS:
                found.append(f"{plural}: the watch has been silent for {reflector.age:.0f} s")
        return found

    async def ready(self, _request: web.Request) -> web.Response:
        """503 with the reasons, or 200."""
        faults = self.faults()
        return web.Response(text="\n".join(faults or ["ok"]) + "\n", status=503 if faults else 200)

    async def alive(self, _request: web.Request) -> web.Response:
        """200: the event loop turns. A part that fails ends the process, so there is nothing else to ask."""
        return web.Response(text="ok\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        for reflector in self._reflectors:
            metrics.INFORMER_AGE.labels(reflector.resource.plural).set(reflector.age)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@contextlib.asynccontextmanager
async def serve(health: Health, host: str, port: int) -> AsyncIterator[None]:
    """Serve the three while the block runs."""
    app = web.Application()
    app.router.add_get("/healthz", health.alive)
    app.router.add_get("/readyz", health.ready)
    app.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(f"cannot listen on {host}:{port} ({error.strerror or error})") from error
        log.info("serving health and metrics", addresses=[str(address) for address in runner.addresses])
        yield
    finally:
        await runner.cleanup()
