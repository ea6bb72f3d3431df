"""What a cache needs of a store that several processes share. `redis_store.RedisStore` is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """The store did not do what it was asked to, in time. The cache goes on without it."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"the cache's store failed: {operation}")
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Lease:
    """Answer to asking for the right to load a key."""

    won: bool
    started: int
    """The store's own time in µs. A value may only be overwritten by one whose load started later; the store's
    clock says so, because those of the processes differ."""
    stored: bytes | None
    """What is kept now: another process may have been faster."""


class Store(Protocol):
    """Bytes by key with an end, leases, generations. Every method raises StoreError on a fault."""

    async def generation(self, namespace: str) -> int:
        """How often the namespace was flushed."""
        ...

    async def read(self, key: str) -> bytes | None:
        """What is kept."""
        ...

    async def lease(self, key: str, token: str, seconds: float) -> Lease:
        """Ask for the right to load `key`; the look at the key belongs to the same step."""
        ...

    async def write(self, key: str, token: str, started: int, value: bytes, seconds: float) -> None:
        """Keep a value unless a newer one is there, and give the lease back."""
        ...

    async def hold(self, key: str, token: str, pauses: list[float]) -> float:
        """A load failed: nobody else tries for the pause of this failure in a row (the last one for all
        later ones). Returns the pause in seconds."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Give a lease back."""
        ...

    async def forget(self, key: str) -> None:
        """Remove the value; what is being loaded from before now may not be kept either."""
        ...

    async def flush(self, namespace: str) -> None:
        """Start a new generation."""
        ...
