"""/healthz, /readyz and /metrics on one port."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from productionservice import metrics
from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.engine.client import Client
from productionservice.engine.parent import Parent
from productionservice.engine.queue import AsyncQueue
from productionservice.engine.reflector import Reflector
from productionservice.engine.resync import Resync
from productionservice.engine.store import Store
from productionservice.engine.stream import StreamCheck
from productionservice.errors import Rejected
from productionservice.status.conditions import ORDER

log = structlog.get_logger(__name__)

DEAD_SECONDS = 180.0
"""A watch that has said nothing for so long is dead: bookmarks come each minute, reconnects after 70 s."""
STREAM_SECONDS = 120.0
"""The stream of services has had its own reconnect (after 70 s) by then; only a new process makes a new stream."""
STUCK_SECONDS = 600.0
"""A watch that is dead for so long, while the API server answers, will not come back by itself."""
ANSWERS_SECONDS = 30.0
"""The API server answers when it did within so long: the Lease alone is asked for every 2 s."""
LAG_SECONDS = 0.5
"""How often the lag of the event loop is measured."""


class CannotListen(Exception):
    """The port is taken, or the address is not ours."""

    setting = "HTTP_PORT"
    """Which setting chooses the port."""


class Health:
    """Ready: every cache is complete and every watch is alive. Leading is not needed: a standby is ready too.

    Alive: the event loop turns, and no watch is dead that only a new process revives. With the API server away
    nothing is gained by a new process, and the caches would be lost.
    """

    def __init__(
        self, client: Client, reflectors: Sequence[Reflector[Any]], resync: Resync, stream: StreamCheck,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._client, self._reflectors, self._resync, self._stream = client, reflectors, resync, stream
        self._clock = clock
        self._was_ready = self._was_stuck = False
        self.stopping = False

    def faults(self) -> list[str]:
        """Why this replica is not ready, one line each."""
        found = ["stopping"] if self.stopping else []
        if not self._resync.synced.is_set():
            found.append("services: not listed yet")
        if dead := self._stream.dead_for:
            found.append(f"services: the stream has missed changes for {dead:.0f} s; lists make up for it")
        for reflector in self._reflectors:
            plural = reflector.resource.plural
            if not reflector.synced.is_set():
                found.append(f"{plural}: not listed yet")
            elif reflector.age > DEAD_SECONDS:
                found.append(f"{plural}: the watch has been silent for {reflector.age:.0f} s")
        return found

    def stuck(self) -> list[str]:
        """Why only a new process helps, one line each."""
        found = []
        if self._stream.dead_for > STREAM_SECONDS:
            found.append(f"services: the stream has been dead for {self._stream.dead_for:.0f} s")
        if self._clock() - self._client.answered < ANSWERS_SECONDS:
            found += [
                f"{r.resource.plural}: the watch has been silent for {r.age:.0f} s, though the API server answers"
                for r in self._reflectors
                if r.age > STUCK_SECONDS
            ]
        return found

    async def ready(self, _request: web.Request) -> web.Response:
        """503 with the reasons, or 200."""
        faults = self.faults()
        if not faults and not self._was_ready:
            log.info("ready")
        elif self._was_ready and faults and not self.stopping:
            log.warning("not ready any longer", reasons=faults)
        self._was_ready = not faults
        return _answer(faults)

    async def alive(self, _request: web.Request) -> web.Response:
        """503 with the reasons, or 200. A loop that does not turn gives no answer at all: the probe's time-out."""
        faults = self.stuck()
        if faults and not self._was_stuck:
            log.error("a new process is needed: the liveness probe fails from now on", reasons=faults)
        self._was_stuck = bool(faults)
        return _answer(faults)


class Figures:
    """What /metrics says: figures that change while nothing happens are taken when they are asked for."""

    def __init__(
        self, health: Health, reflectors: Sequence[Reflector[Any]], queue: AsyncQueue, parents: Store[Parent]
    ) -> None:
        self._health = health
        self._reflectors, self._queue, self._parents = reflectors, queue, parents
        self._seen = {(type_, status.value) for type_ in ORDER for status in ConditionStatus}

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        self._measure()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _measure(self) -> None:
        metrics.READY.set(not self._health.faults())
        self._queue.measure()
        ages: dict[str, float] = {}
        forbidden = {r.resource.plural for r in self._reflectors if isinstance(r.unserved, Rejected)}
        for reflector in self._reflectors:  # one for each namespace: the most silent one counts
            plural = reflector.resource.plural
            ages[plural] = max(reflector.age, ages.get(plural, 0.0))
        for plural, age in ages.items():
            metrics.INFORMER_AGE.labels(plural).set(age)
            metrics.INFORMER_FORBIDDEN.labels(plural).set(plural in forbidden)
        counted = Counter(pair for name in self._parents.names() for pair in self._said(name))
        self._seen |= counted.keys()
        for pair in self._seen:
            metrics.CONDITIONS.labels(*pair).set(counted[pair])

    def _said(self, name: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        parent = self._parents.get(name)
        return parent.conditions if parent else ()


async def measure_lag() -> None:
    """Never returns. A loop that is busy with one thing is late for all others."""
    while True:
        due = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG.observe(max(0.0, time.monotonic() - due))


@contextlib.asynccontextmanager
async def serve(health: Health, figures: Figures, host: str, port: int) -> AsyncIterator[None]:
    """Serve the three while the block runs."""
    app = web.Application()
    app.router.add_get("/healthz", health.alive)
    app.router.add_get("/readyz", health.ready)
    app.router.add_get("/metrics", figures.metrics)
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


def _answer(faults: Sequence[str]) -> web.Response:
    return web.Response(text="\n".join(faults or ["ok"]) + "\n", status=503 if faults else 200)
