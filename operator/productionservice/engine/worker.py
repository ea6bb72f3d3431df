"""Workers: take a key, run a pass, and let its outcome decide when to look again."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bound_contextvars, unbind_contextvars

from productionservice import metrics
from productionservice.engine.limiter import URGENT
from productionservice.engine.queue import AsyncQueue, Key, Lane, Work
from productionservice.errors import Permanent, Transient, Waiting

log = structlog.get_logger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
"""One pass. Returns the seconds until the next look, None when an event will say so; raises OperatorError."""


class Workers:
    """`count` tasks that wait for `gate` and then reconcile until the queue is closed."""

    def __init__(self, queue: AsyncQueue, reconcile: Reconcile, count: int) -> None:
        self._queue, self._reconcile, self._count = queue, reconcile, count
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None]] = set()
        metrics.WORKERS_MAX.labels(metrics.CONTROLLER).set(count)

    def start(self, gate: Callable[[], Awaitable[object]]) -> None:
        """Start the tasks; each waits for `gate` (synced, and leading) first."""
        self._tasks = [asyncio.create_task(self._run(gate), name=f"worker-{n}") for n in range(self._count)]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The running tasks, to be supervised."""
        return list(self._tasks)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, let running passes finish for at most `seconds`, then cancel them."""
        self._queue.close()
        if self._busy:
            _, late = await asyncio.wait(set(self._busy), timeout=seconds)
            if late:
                log.warning("passes were cut short", count=len(late))
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cancel(self) -> None:
        """End running passes at once."""
        self._queue.close()
        for task in self._tasks:
            task.cancel()

    async def _run(self, gate: Callable[[], Awaitable[object]]) -> None:
        await gate()
        self._queue.begin()
        task = asyncio.current_task()
        while task is not None and (work := await self._queue.get()) is not None:
            self._busy.add(task)
            try:
                await self._pass(work)
            finally:
                self._busy.discard(task)
            # A pass that has nothing to write never waits: without this, thousands of them in a row (a new leader's)
            # would keep the Lease, the probes and the watches waiting until the last one is through.
            await asyncio.sleep(0)

    async def _pass(self, work: Work) -> None:
        """One pass with its logs and metrics."""
        namespace, name = work.key
        started = time.monotonic()
        URGENT.set(work.lane is Lane.EDIT)
        with (
            bound_contextvars(
                namespace=namespace, name=name, trigger=work.trigger, reconcile_id=uuid.uuid4().hex[:12]
            ),
            metrics.WORKERS_ACTIVE.labels(metrics.CONTROLLER).track_inprogress(),
        ):  # fmt: skip
            try:
                await self._one(work, started)
            finally:
                unbind_contextvars("generation")  # the pass says it once it has read the service
                self._queue.done(work.key)
                metrics.RECONCILE_TIME.labels(metrics.CONTROLLER).observe(time.monotonic() - started)

    async def _one(self, work: Work, started: float) -> None:
        """One pass and its fate: one line at its end, at level debug unless it failed."""
        try:
            again = await self._reconcile(work.key)
        except Waiting as error:
            self._later(work.key, error.seconds, started)
        except Transient as error:
            delay = self._queue.retry(work.key, work.lane, at_least=error.retry_after or 0.0)
            said = _ended("error", started, delay)
            log.warning("the pass failed: it is tried again", error=str(error), **said)
        except Permanent as error:
            self._queue.succeeded(work.key)
            metrics.TERMINAL_ERRORS.labels(metrics.CONTROLLER).inc()
            said = _ended("error", started, None)
            log.warning("the pass cannot succeed until an object is edited", error=str(error), **said)
        except Exception:
            # One service must never take the operator down; the others go on.
            metrics.RECONCILE_PANICS.labels(metrics.CONTROLLER).inc()
            delay = self._queue.retry(work.key, work.lane)
            said = _ended("error", started, delay)
            log.exception("the pass ended in an unforeseen error: it is tried again", **said)
        else:
            self._later(work.key, again, started)

    def _later(self, key: Key, seconds: float | None, started: float) -> None:
        self._queue.succeeded(key)
        said = _ended("success" if seconds is None else "requeue_after", started, seconds)
        if seconds is not None:
            self._queue.add(key, Lane.RESYNC, delay=seconds, trigger="look again")
        log.debug("the pass has ended", **said)


def _ended(outcome: str, started: float, again: float | None) -> dict[str, str | float]:
    """Count a pass by its outcome; what its last line says: seconds it took, and until the next look if one is due."""
    metrics.RECONCILES.labels(metrics.CONTROLLER, outcome).inc()
    if outcome == "error":
        metrics.RECONCILE_ERRORS.labels(metrics.CONTROLLER).inc()
    said: dict[str, str | float] = {"outcome": outcome, "duration": round(time.monotonic() - started, 4)}
    return said if again is None else {**said, "again_in": round(again, 1)}
