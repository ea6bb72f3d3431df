"""How many calls to one dependency may be under way, so that a slow one cannot take the whole process.

bulkhead = Bulkhead("pricing", calls=20)
async with bulkhead.place():     # BulkheadFullError when there is none within `wait_seconds`
    await ask_pricing()
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from prodkit.problems import Problem


class BulkheadFullError(Exception):
    """As many calls as the dependency may have are under way, and none ended in time."""


class Bulkhead:
    """Places for calls to one dependency in this process."""

    def __init__(self, name: str, *, calls: int, wait_seconds: float = 0.2) -> None:
        self.name = name
        self.in_use = 0
        """Calls under way."""
        self.rejected = 0
        """Calls that got no place so far."""
        self._wait = wait_seconds
        self._calls = calls
        self._places = asyncio.Semaphore(calls)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Around one call."""
        try:
            async with asyncio.timeout(self._wait):
                await self._places.acquire()
        except TimeoutError:
            self.rejected += 1
            raise BulkheadFullError(
                f"{self._calls} calls to {self.name} are under way: it is slow, or needs more places"
            ) from None
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1
            self._places.release()


def watch_bulkheads(registry: CollectorRegistry, bulkheads: list[Bulkhead]) -> None:
    """Add `bulkhead_in_use{dependency}` and `bulkhead_rejected{dependency}` to a registry."""
    in_use = Gauge("bulkhead_in_use", "Calls under way", ("dependency",), registry=registry)
    rejected = Gauge(
        "bulkhead_rejected", "Calls without a place since the start", ("dependency",), registry=registry
    )
    for bulkhead in bulkheads:
        in_use.labels(bulkhead.name).set_function(partial(getattr, bulkhead, "in_use"))
        rejected.labels(bulkhead.name).set_function(partial(getattr, bulkhead, "rejected"))


def unavailable(dependency: str, *, retry_seconds: float = 1.0) -> Problem:
    """What a caller is told when a dependency does not answer: 503, and when to come again."""
    return Problem(
        503,
        f"the {dependency} does not answer at the moment: try again later",
        headers={"Retry-After": str(max(1, math.ceil(retry_seconds)))},
    )
