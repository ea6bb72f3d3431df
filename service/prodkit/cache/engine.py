"""The cache itself: one look-up, made of what `policy` decides and what memory and store hold.

The order of a look-up: this process's memory, then (one caller at a time for a key) the shared store, then the
origin. A value that is no longer fresh is served at once and loaded anew in the background; a store that is slow is
not waited for while memory has a copy.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from prodkit.cache import policy as decide
from prodkit.cache.entry import Entry
from prodkit.cache.memory import Memory
from prodkit.cache.metrics import CacheMetrics
from prodkit.cache.policy import Age, Policy
from prodkit.cache.shared import Shared
from prodkit.cache.store import StoreError
from prodkit.limiter import waiting

logger = structlog.get_logger("prodkit.cache")

T = TypeVar("T")
Load = Callable[[], Awaitable[T]]
_MAX_REFRESHES = 16
"""More at once would be a load of its own on the origin; what is left out is tried at the next look-up."""

_MAX_PAUSES = 10_000


class StaleCache(Generic[T]):
    """Implements `prodkit.cache.Cache`; with `shared` None it lives in this process alone."""

    def __init__(
        self,
        namespace: str,
        policy: Policy,
        *,
        shared: Shared[T] | None = None,
        max_entries: int = 10_000,
        max_bytes: int = 64 << 20,
        metrics: CacheMetrics | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._shared = shared
        self._clock = clock
        self._chance = chance
        self._memory: Memory[T] = Memory(max_entries, max_bytes)
        self._loading: dict[str, asyncio.Task[T]] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._asking: set[asyncio.Task[Entry[T] | None]] = set()
        self._retry_at: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._closed = False
        self._metrics = (metrics or CacheMetrics()).of(namespace)

    async def get(self, key: str, load: Load[T]) -> T:
        """See `Cache.get`. A caller that goes away does not take the load from the others."""
        found = self._memory.get(key)
        if found is not None and self._clock() < found[1]:
            age = self._age(found[0])
            if age is Age.FRESH:
                self._metrics.requests["hit"].inc()
                return found[0].value
            if age is Age.STALE:
                return self._serve_stale(key, found[0], load)
        task = self._loading.get(key)
        if task is not None:  # somebody is at it: the limiter must not refuse others because of us
            with waiting():
                return await asyncio.shield(task)
        task = self._loading[key] = asyncio.create_task(self._find(key, load))
        task.add_done_callback(lambda done: _finished(self._loading, key, done))
        return await asyncio.shield(task)

    async def forget(self, key: str) -> None:
        """See `Cache.forget`. A load that is under way has read the old value: it is not kept."""
        self._drop(key)
        if self._shared is not None:
            await self._shared.forget(key)

    async def flush(self) -> None:
        """See `Cache.flush`."""
        for key in (*self._loading, *self._refreshing):
            self._drop(key)
        self._memory.clear()
        if self._shared is not None:
            await self._shared.flush()

    async def close(self, seconds: float = 2.0) -> None:
        """Start no more refreshes, let those under way finish for so long, then give them up."""
        self._closed = True
        running = [*self._refreshing.values(), *self._loading.values(), *self._asking]
        if running:
            _, late = await asyncio.wait(running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _find(self, key: str, load: Load[T]) -> T:
        """The value from the store or the origin; the only look-up for this key in this process."""
        if self._shared is None:
            return await self._load(key, load)
        try:
            if self._copy(key) is None:
                entry = await self._ask_store(key, self._shared)
            else:
                asking = asyncio.create_task(self._ask_store(key, self._shared))
                if await self._is_slow(key, asking):
                    return await self._without_store(key, load)
                entry = await asking
            if entry is None:
                return await self._load_alone(key, load, self._shared)
        except StoreError:
            return await self._without_store(key, load)
        self._remember(key, entry)
        if self._age(entry) is Age.STALE:
            return self._serve_stale(key, entry, load)
        self._metrics.requests["shared"].inc()
        return entry.value

    async def _ask_store(self, key: str, shared: Shared[T]) -> Entry[T] | None:
        """What may be served of what the store has."""
        if await shared.generation_changed():
            self._memory.clear()
        entry = await shared.read(key)
        return None if entry is None or self._age(entry) is Age.GONE else entry

    async def _is_slow(self, key: str, asking: asyncio.Task[Entry[T] | None]) -> bool:
        """Wait as long as patience lasts. True when the copy has to do; a late answer counts from then on."""
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        await asyncio.wait({asking}, timeout=self._policy.patience_seconds)
        copy = self._copy(key)
        if asking.done() or copy is None:
            return False
        asking.add_done_callback(lambda done: self._answered_late(key, copy, done))
        return True

    def _answered_late(self, key: str, copy: Entry[T], asked: asyncio.Task[Entry[T] | None]) -> None:
        if asked.cancelled() or asked.exception() is not None or self._copy(key) is not copy:
            return  # there is no answer, or something newer
        entry = asked.result()
        if entry is None:
            self._memory.drop(key)
        else:
            self._remember(key, entry)

    def _copy(self, key: str) -> Entry[T] | None:
        """What this process may serve when it cannot ask."""
        found = self._memory.get(key)
        return None if found is None or self._age(found[0]) is Age.GONE else found[0]

    async def _load_alone(self, key: str, load: Load[T], shared: Shared[T]) -> T:
        """Load, or wait for the process that does."""
        deadline = self._clock() + self._policy.wait_seconds
        token = secrets.token_hex(8)
        attempt = 0
        while True:
            lease, entry = await shared.lease(key, token, decide.lease_lifetime(self._policy, 0))
            if entry is not None and self._age(entry) is not Age.GONE:
                if lease.won:
                    await shared.release(key, token)
                self._remember(key, entry)
                self._metrics.requests["shared"].inc()
                return entry.value
            if lease.won:
                return await self._load_and_share(key, load, shared, token, lease.started)
            if self._clock() >= deadline:
                return await self._load(key, load)
            await asyncio.sleep(decide.poll_pause(attempt, chance=self._chance()))
            attempt += 1

    async def _without_store(self, key: str, load: Load[T]) -> T:
        copy = self._copy(key)
        if copy is None:
            return await self._load(key, load)
        self._memory.put(key, copy, self._clock() + self._policy.local_lifetime)
        if self._age(copy) is Age.STALE:
            return self._serve_stale(key, copy, load)
        self._metrics.requests["hit"].inc()
        return copy.value

    async def _load(self, key: str, load: Load[T]) -> T:
        """From the origin into this process only."""
        self._metrics.requests["miss"].inc()
        entry = await self._ask_origin(load)
        if self._loading.get(key) is asyncio.current_task():
            self._remember(key, entry)
        return entry.value

    async def _load_and_share(
        self, key: str, load: Load[T], shared: Shared[T], token: str, started: int
    ) -> T:
        self._metrics.requests["miss"].inc()
        try:
            entry = await self._ask_origin(load)
        except BaseException:
            await shared.release(key, token)
            raise
        if self._loading.get(key) is asyncio.current_task():
            self._remember(key, entry)
        await shared.write(key, token, started, entry)
        return entry.value

    def _serve_stale(self, key: str, entry: Entry[T], load: Load[T]) -> T:
        self._metrics.requests["stale"].inc()
        busy = key in self._refreshing or len(self._refreshing) >= _MAX_REFRESHES
        if not (busy or self._closed or self._clock() < self._retry_at.get(key, 0.0)):
            task = self._refreshing[key] = asyncio.create_task(self._refresh(key, entry, load))
            task.add_done_callback(lambda done: _finished(self._refreshing, key, done))
        return entry.value

    async def _refresh(self, key: str, old: Entry[T], load: Load[T]) -> None:
        token, started = secrets.token_hex(8), 0
        shared = self._shared
        if shared is not None:
            try:
                seconds = decide.lease_lifetime(self._policy, old.load_seconds)
                lease, entry = await shared.lease(key, token, seconds)
                if self._taken(key, entry) or not lease.won:
                    self._metrics.refreshes["elsewhere"].inc()
                    if lease.won:
                        await shared.release(key, token)
                    else:  # look again soon, not at every request
                        self._pause(key, decide.poll_pause(16, chance=self._chance()))
                    return
                started = lease.started
            except StoreError:
                shared = None  # refresh this process's copy
        await self._refresh_from_origin(key, load, shared, token, started)

    async def _refresh_from_origin(
        self, key: str, load: Load[T], shared: Shared[T] | None, token: str, started: int
    ) -> None:
        try:
            entry = await self._ask_origin(load)
        except Exception as error:  # noqa: BLE001  whatever it is, there is a copy to serve
            await self._refresh_failed(key, shared, token, error)
            return
        self._retry_at.pop(key, None)
        self._failures.pop(key, None)
        self._metrics.refreshes["done"].inc()
        if self._refreshing.get(key) is asyncio.current_task():
            self._remember(key, entry)
            if shared is not None:
                await shared.write(key, token, started, entry)

    async def _refresh_failed(self, key: str, shared: Shared[T] | None, token: str, error: Exception) -> None:
        self._failures[key] = self._failures.get(key, 0) + 1
        self._metrics.refreshes["failed"].inc()
        pause = decide.backoff(self._policy, self._failures[key], chance=self._chance())
        if shared is not None:
            pause = await shared.hold(key, token, self._policy, chance=self._chance()) or pause
        self._pause(key, pause)
        logger.warning("refresh failed, the old value is served", error=type(error).__name__)

    def _pause(self, key: str, seconds: float) -> None:
        if len(self._retry_at) >= _MAX_PAUSES:  # keys come from callers: they may not fill the memory
            self._retry_at.clear()
            self._failures.clear()
        self._retry_at[key] = self._clock() + seconds

    def _taken(self, key: str, entry: Entry[T] | None) -> bool:
        """Another process was faster: take its value."""
        if entry is None or self._age(entry) is not Age.FRESH:
            return False
        if self._refreshing.get(key) is asyncio.current_task():
            self._remember(key, entry)
        return True

    async def _ask_origin(self, load: Load[T]) -> Entry[T]:
        begun = time.perf_counter()
        value = await load()
        seconds = time.perf_counter() - begun
        self._metrics.loads.observe(seconds)
        lifetime = decide.soft_lifetime(self._policy, absent=value is None, chance=self._chance())
        soft = self._clock() + lifetime
        size = 1 if self._shared is None else self._shared.size(value)
        return Entry(value, soft, soft + (0 if value is None else self._policy.stale_seconds), seconds, size)

    def _remember(self, key: str, entry: Entry[T]) -> None:
        lifetime = self._policy.local_lifetime
        until = entry.hard_until if self._shared is None else self._clock() + lifetime
        self._memory.put(key, entry, until)

    def _drop(self, key: str) -> None:
        self._memory.drop(key)
        self._loading.pop(key, None)
        self._refreshing.pop(key, None)
        self._retry_at.pop(key, None)

    def _age(self, entry: Entry[T]) -> Age:
        return decide.age(self._clock(), soft_until=entry.soft_until, hard_until=entry.hard_until)


def _finished(tasks: dict[str, asyncio.Task[T]], key: str, task: asyncio.Task[T]) -> None:
    if tasks.get(key) is task:
        del tasks[key]
    if not task.cancelled():
        task.exception()  # a waiter has it; without one it must not be reported as never retrieved
