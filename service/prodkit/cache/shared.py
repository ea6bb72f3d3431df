"""The second level of a cache: values of one namespace in a store that all processes share.

Here values become bytes (JSON by pydantic, never pickle: who can write to the store must not be able to run
code here), keys get their generation, and a write that the store missed is made up for.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from prodkit.cache import policy as decide
from prodkit.cache.entry import Entry, decode, encode
from prodkit.cache.metrics import CacheMetrics
from prodkit.cache.policy import Policy
from prodkit.cache.store import Lease, Store, StoreError

logger = structlog.get_logger("prodkit.cache")

T = TypeVar("T")
_GENERATION_SECONDS = 1.0
"""A flush by another process is seen after this time."""
_MAX_VALUE_BYTES = 1 << 20
_MAX_UNFORGOTTEN = 10_000
_BACKOFFS = 8  # 1, 2, 4 … seconds: the longest pause is reached before


class Shared(Generic[T]):
    """Typed access to a `Store`, for one cache."""

    def __init__(
        self,
        store: Store,
        value_type: Any,
        *,
        app: str,
        namespace: str,
        metrics: CacheMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._adapter: TypeAdapter[T] = TypeAdapter(value_type)
        schema = orjson.dumps(self._adapter.json_schema(), option=orjson.OPT_SORT_KEYS)
        self._schema = hashlib.sha256(schema).hexdigest()[:12]
        self._app = app
        self._namespace = namespace
        self._metrics = metrics
        self._clock = clock
        self._generation = -1
        self._generation_until = 0.0
        self._unforgotten: dict[str, None] = {}

    async def generation_changed(self) -> bool:
        """Ask for the generation when it is time; True when another process has flushed since the last time."""
        if self._clock() < self._generation_until:
            return False
        with self._counted():
            current = await self._store.generation(f"{self._app}:{self._namespace}")
        changed = self._generation not in (-1, current)
        self._generation = current
        self._generation_until = self._clock() + _GENERATION_SECONDS
        return changed

    async def read(self, key: str) -> Entry[T] | None:
        """What is kept. Raises StoreError, also while a value that has to be forgotten may still be there."""
        with self._counted():
            if key in self._unforgotten:
                await self._store.forget(self._name(key))
                del self._unforgotten[key]
            return self._entry(await self._store.read(self._name(key)))

    async def lease(self, key: str, token: str, seconds: float) -> tuple[Lease, Entry[T] | None]:
        """Ask for the right to load; what is kept comes with the answer."""
        with self._counted():
            lease = await self._store.lease(self._name(key), token, seconds)
        return lease, self._entry(lease.stored)

    async def write(self, key: str, token: str, started: int, entry: Entry[T]) -> None:
        """Keep a value and give the lease back. Never raises: the caller has the value."""
        payload = self._adapter.dump_json(entry.value)
        seconds = entry.hard_until - self._clock()
        if len(payload) > _MAX_VALUE_BYTES:
            logger.warning("value too large for the shared store", bytes=len(payload))
            await self.release(key, token)
            return
        kept = Entry(payload, entry.soft_until, entry.hard_until, entry.load_seconds)
        with contextlib.suppress(StoreError), self._counted():
            await self._store.write(self._name(key), token, started, encode(kept, started), seconds)

    async def hold(self, key: str, token: str, policy: Policy, *, chance: float) -> float:
        """A load failed: keep all processes from trying again for a while. Seconds, 0 when it did not work."""
        pauses = [decide.backoff(policy, number, chance=chance) for number in range(1, _BACKOFFS + 1)]
        with contextlib.suppress(StoreError), self._counted():
            return await self._store.hold(self._name(key), token, pauses)
        return 0.0

    async def release(self, key: str, token: str) -> None:
        """Give a lease back. Never raises: it ends by itself."""
        with contextlib.suppress(StoreError), self._counted():
            await self._store.release(self._name(key), token)

    async def forget(self, key: str) -> None:
        """Remove a value. Never raises: what the store missed is made up for before the key is read again."""
        try:
            if self._generation < 0:
                await self.generation_changed()
            with self._counted():
                await self._store.forget(self._name(key))
        except StoreError:
            if len(self._unforgotten) < _MAX_UNFORGOTTEN:
                self._unforgotten[key] = None

    async def flush(self) -> None:
        """Start a new generation. Raises StoreError: whoever flushes wants to know."""
        with self._counted():
            await self._store.flush(f"{self._app}:{self._namespace}")
        self._generation_until = 0.0

    def size(self, value: T) -> int:
        """Bytes that a value counts in the memory's bound."""
        return len(self._adapter.dump_json(value))

    def _entry(self, stored: bytes | None) -> Entry[T] | None:
        found = decode(stored)
        if found is None or not found.value:  # without a value it was forgotten
            return None
        try:
            value = self._adapter.validate_json(found.value)
        except ValidationError:
            return None  # somebody else's bytes: a miss, never an error
        return Entry(value, found.soft_until, found.hard_until, found.load_seconds, found.size)

    def _name(self, key: str) -> str:
        return decide.storage_key(self._app, self._schema, self._namespace, self._generation, key)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self._metrics.count_fault(error.operation)
            raise
