"""A cache in the process: bounded, with a lifetime, and one load at a time per key.

`Cache` is what callers depend on; a shared cache can take its place later without a change in them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter

T = TypeVar("T")
_RESULTS = ("hit", "miss")


class Cache(Protocol):
    """Values by key; a value may be gone at any time."""

    async def get(self, key: str, load: Callable[[], Awaitable[T]]) -> T:
        """The value of `key`, loaded when it is missing. An error of `load` is raised and never kept."""
        ...

    async def forget(self, key: str) -> None:
        """The value of `key` has changed: load it again next time."""
        ...


class LocalCache:
    """A `Cache` in this process only: other replicas see a change after at most `ttl_seconds`."""

    def __init__(
        self,
        namespace: str,
        *,
        ttl_seconds: float,
        max_entries: int = 10_000,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl = ttl_seconds
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Any]] = {}
        self._requests = Counter(
            "cache_requests",
            "Look-ups in a cache",
            ("namespace", "result"),
            registry=registry or CollectorRegistry(),
        )
        self._counts = {result: self._requests.labels(namespace, result) for result in _RESULTS}

    async def get(self, key: str, load: Callable[[], Awaitable[T]]) -> T:
        """See `Cache.get`. A caller that goes away does not take the load from the others."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] > self._clock():
            self._entries.move_to_end(key)
            self._counts["hit"].inc()
            return cast("T", entry[1])  # a key always holds what its own load returned
        self._counts["miss"].inc()
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.ensure_future(self._load(key, load))
            task.add_done_callback(lambda done: self._loaded(key, done))
        return cast("T", await asyncio.shield(task))

    async def forget(self, key: str) -> None:
        """See `Cache.forget`. A load that is under way has read the old value: it is not kept."""
        self._entries.pop(key, None)
        self._loading.pop(key, None)

    async def _load(self, key: str, load: Callable[[], Awaitable[T]]) -> T:
        value = await load()
        if self._loading.get(key) is asyncio.current_task():
            self._entries[key] = (self._clock() + self._ttl, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        return value

    def _loaded(self, key: str, task: asyncio.Task[Any]) -> None:
        if self._loading.get(key) is task:
            del self._loading[key]
        if not task.cancelled():
            task.exception()  # a waiter has it; without one it must not be reported as never retrieved
