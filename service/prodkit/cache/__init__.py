"""Caches that answer at once: what is no longer fresh is served while a new value is loaded.

    cache = local_cache("products", Policy(soft_seconds=1, stale_seconds=60))
    product = await cache.get(product_id, lambda: read_from_database(product_id))

`local_cache` lives in one process and needs nothing. `shared_cache` has Redis below it: all processes together
load a key once, and a restart loads nothing. Both are a `Cache`; a fault of Redis is never an error of a caller.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from prodkit.cache.engine import StaleCache
from prodkit.cache.metrics import CacheMetrics
from prodkit.cache.policy import Policy
from prodkit.cache.shared import Shared
from prodkit.cache.store import Store, StoreError

T = TypeVar("T")

__all__ = ["Cache", "CacheMetrics", "Policy", "Store", "StoreError", "local_cache", "shared_cache"]


class Cache(Protocol[T]):
    """Values by key; a value may be gone at any time. None is a value: there is no such thing."""

    async def get(self, key: str, load: Callable[[], Awaitable[T]]) -> T:
        """The value of `key`, loaded when it is missing. An error of `load` is raised and never kept."""
        ...

    async def forget(self, key: str) -> None:
        """The value of `key` has changed: load it again next time. Never raises."""
        ...

    async def flush(self) -> None:
        """Forget everything, in all processes within a second. StoreError when the shared store did not do it."""
        ...

    async def close(self, seconds: float = 2.0) -> None:
        """Start no more refreshes; those under way have so many seconds."""
        ...


def local_cache(
    namespace: str,
    policy: Policy,
    *,
    max_entries: int = 10_000,
    metrics: CacheMetrics | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Cache[Any]:
    """A cache in this process only: other replicas see a change when their value is loaded anew."""
    return StaleCache(namespace, policy, max_entries=max_entries, metrics=metrics, clock=clock)


def shared_cache(
    namespace: str,
    policy: Policy,
    *,
    store: Store,
    value_type: Any,
    app: str,
    metrics: CacheMetrics | None = None,
    clock: Callable[[], float] = time.time,
) -> Cache[Any]:
    """A cache that all processes share. `value_type` is what pydantic makes JSON of; `app` keeps apart what
    several services keep in one Redis. `clock` has to be the same in all processes: the time of day."""
    metrics = metrics or CacheMetrics()
    shared: Shared[Any] = Shared(
        store, value_type, app=app, namespace=namespace, metrics=metrics, clock=clock
    )
    return StaleCache(namespace, policy, shared=shared, metrics=metrics, clock=clock)
