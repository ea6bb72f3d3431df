"""What has to be looked at, each key once, the urgent before the routine.

The rules are client-go's: a key is never handed out twice at the same time; one that is added while it is being
worked on comes back once afterwards. `WorkQueue` is plain data driven by a clock; `AsyncQueue` waits.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from productionservice import metrics

Key: TypeAlias = tuple[str, str]
"""Namespace and name of a ProductionService."""

FAIR = 5
"""Every fifth key comes from the low lane, so that edits without end do not starve it."""
RETRY_FIRST, RETRY_MOST = 0.5, 300.0
"""Seconds: after the first failure, and at most."""


class Lane(IntEnum):
    """Smaller goes first."""

    EDIT = 0
    """Somebody changed something."""
    RESYNC = 1
    """Nothing is known to have changed."""


@dataclass(frozen=True)
class Work:
    """One key, handed to a worker."""

    key: Key
    lane: Lane
    trigger: str
    """What put it into the queue first, for the logs."""
    waited: float
    """Seconds between due, or `WorkQueue.begin`, and handed out."""


@dataclass
class _Item:
    lane: Lane
    due: float
    trigger: str


class WorkQueue:
    """Deduplicating priority queue with due times and a back-off a key."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._jitter = jitter or (lambda: random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        self._items: dict[Key, _Item] = {}  # wanted; those in `_processing` wait for done()
        self._ready: tuple[dict[Key, None], ...] = tuple({} for _ in Lane)  # due, in order of arrival
        self._later: list[tuple[float, Key]] = []  # heap; entries that no longer fit `_items` are ignored
        self._processing: dict[Key, float] = {}  # since when
        self._failures: dict[Key, int] = {}
        self._popped = 0
        self._began: float | None = None

    def __len__(self) -> int:
        """Keys that are due."""
        return sum(len(lane) for lane in self._ready)

    def due(self) -> int:
        """Keys that are due now, those that have become so meanwhile included."""
        self._promote()
        return len(self)

    def begin(self) -> None:
        """Somebody takes keys from now on. On a standby they have been due for hours, and nobody has waited."""
        if self._began is None:
            self._began = self._clock()

    def add(self, key: Key, lane: Lane = Lane.EDIT, *, delay: float = 0.0, trigger: str = "") -> None:
        """Look at `key` in `delay` seconds. Added twice, the sooner time and the more urgent lane count."""
        due = self._clock() + delay
        item = self._items.get(key)
        if item is None:
            self._items[key] = _Item(lane, due, trigger)
        elif lane < item.lane or due < item.due:
            self._ready[item.lane].pop(key, None)
            item.lane, item.due = min(lane, item.lane), min(due, item.due)
        else:
            return
        if key not in self._processing:
            self._place(key, self._items[key])

    def pop(self) -> Work | None:
        """The next key that is due, None when there is none. done() must follow."""
        self._promote()
        turn = self._popped % FAIR == FAIR - 1
        lane = next((lane for lane in sorted(Lane, reverse=turn) if self._ready[lane]), None)
        if lane is None:
            return None
        self._popped += 1
        key = next(iter(self._ready[lane]))
        del self._ready[lane][key]
        item = self._items.pop(key)
        now = self._clock()
        self._processing[key] = now
        since = item.due if self._began is None else max(item.due, self._began)
        return Work(key, lane, item.trigger, max(0.0, now - since))

    def done(self, key: Key) -> float:
        """The worker has finished with `key`. Returns how long it had it, in seconds."""
        took = self._clock() - self._processing.pop(key)
        if key in self._items:
            self._place(key, self._items[key])
        return took

    def running(self) -> list[float]:
        """For how many seconds each key that was handed out has been worked on."""
        now = self._clock()
        return [now - since for since in self._processing.values()]

    def retry(self, key: Key, lane: Lane = Lane.EDIT, *, at_least: float = 0.0) -> float:
        """Look again after a failure: 0.5 s, doubled with each one in a row up to 5 min, a random half taken off.

        Returns the delay. `at_least` is what the server asked for.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(at_least, min(RETRY_FIRST * 2.0 ** min(failures, 16), RETRY_MOST) * self._jitter())
        self.add(key, lane, delay=delay, trigger="retry")
        return delay

    def succeeded(self, key: Key) -> None:
        """The next failure is the first again."""
        self._failures.pop(key, None)

    def next_due(self) -> float | None:
        """Seconds until a key is due, 0 when one is, None when there is none."""
        self._promote()
        if len(self):
            return 0.0
        return self._later[0][0] - self._clock() if self._later else None

    def _place(self, key: Key, item: _Item) -> None:
        if item.due <= self._clock():
            self._ready[item.lane][key] = None
        else:
            heapq.heappush(self._later, (item.due, key))

    def _promote(self) -> None:
        """Move what has become due, and drop what was rescheduled meanwhile."""
        now = self._clock()
        while self._later:
            due, key = self._later[0]
            item = self._items.get(key)
            stale = item is None or item.due != due or key in self._processing
            if not stale and due > now:
                return
            heapq.heappop(self._later)
            if item is not None and not stale:
                self._ready[item.lane][key] = None


class AsyncQueue:
    """A WorkQueue that workers can wait for."""

    def __init__(self, queue: WorkQueue | None = None) -> None:
        self._queue = WorkQueue() if queue is None else queue
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key, lane: Lane = Lane.EDIT, *, delay: float = 0.0, trigger: str = "") -> None:
        """See WorkQueue.add."""
        metrics.QUEUE_ADDS.inc()
        self._queue.add(key, lane, delay=delay, trigger=trigger)
        self._notify()

    def retry(self, key: Key, lane: Lane, *, at_least: float = 0.0) -> float:
        """See WorkQueue.retry."""
        metrics.QUEUE_RETRIES.inc()
        delay = self._queue.retry(key, lane, at_least=at_least)
        self._notify()
        return delay

    def succeeded(self, key: Key) -> None:
        """See WorkQueue.succeeded."""
        self._queue.succeeded(key)

    def done(self, key: Key) -> None:
        """See WorkQueue.done."""
        metrics.QUEUE_WORK.observe(self._queue.done(key))
        self._notify()

    def begin(self) -> None:
        """See WorkQueue.begin."""
        self._queue.begin()

    def measure(self) -> None:
        """Set the gauges that change while nothing happens."""
        metrics.QUEUE_DEPTH.set(self._queue.due())
        running = self._queue.running()
        metrics.QUEUE_UNFINISHED.set(sum(running))
        metrics.QUEUE_LONGEST.set(max(running, default=0.0))

    async def get(self) -> Work | None:
        """Wait for the next key. None once the queue is closed."""
        while not self._closed:
            work = self._queue.pop()
            if work is not None:
                metrics.QUEUE_WAIT.observe(work.waited)
                return work
            await self._wait()
        return None

    def close(self) -> None:
        """Hand out nothing more: a new process starts from the whole state anyway."""
        self._closed = True
        self._notify()

    async def _wait(self) -> None:
        """Until something changes or becomes due."""
        self._changed.clear()
        delay = self._queue.next_due()
        if delay == 0:
            return
        try:
            async with asyncio.timeout(delay):
                await self._changed.wait()
        except TimeoutError:
            return

    def _notify(self) -> None:
        self._changed.set()
