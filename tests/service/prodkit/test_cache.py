"""The cache in the process."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from prodkit.cache import LocalCache


class Origin:
    """Counts loads; holds them back until the test lets them go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()
        self.fails = False

    async def load(self) -> int:
        self.calls += 1
        call = self.calls
        await self.go.wait()
        if self.fails:
            raise LookupError
        return call


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_value_lives_for_its_time() -> None:
    origin, clock = Origin(), Clock()
    cache = LocalCache("test", ttl_seconds=10, clock=clock)
    assert [await cache.get("a", origin.load) for _ in range(3)] == [1, 1, 1]
    clock.now = 10.1
    assert await cache.get("a", origin.load) == 2


async def test_one_load_at_a_time_per_key() -> None:
    origin = Origin()
    origin.go.clear()
    cache = LocalCache("test", ttl_seconds=10)
    callers = [asyncio.create_task(cache.get("a", origin.load)) for _ in range(10)]
    await asyncio.sleep(0)
    origin.go.set()
    assert await asyncio.gather(*callers) == [1] * 10


async def test_a_caller_that_leaves_does_not_take_the_load_along() -> None:
    origin = Origin()
    origin.go.clear()
    cache = LocalCache("test", ttl_seconds=10)
    first = asyncio.create_task(cache.get("a", origin.load))
    second = asyncio.create_task(cache.get("a", origin.load))
    await asyncio.sleep(0)
    first.cancel()
    origin.go.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_is_raised_and_not_kept() -> None:
    origin = Origin()
    origin.fails = True
    cache = LocalCache("test", ttl_seconds=10)
    with pytest.raises(LookupError):
        await cache.get("a", origin.load)
    origin.fails = False
    assert await cache.get("a", origin.load) == 2


async def test_a_load_that_began_before_a_change_is_not_kept() -> None:
    origin = Origin()
    origin.go.clear()
    cache = LocalCache("test", ttl_seconds=10)
    old = asyncio.create_task(cache.get("a", origin.load))
    await asyncio.sleep(0)
    await cache.forget("a")
    origin.go.set()
    assert await old == 1
    assert await cache.get("a", origin.load) == 2


async def test_it_is_bounded_and_counted() -> None:
    registry = CollectorRegistry()
    origin = Origin()
    cache = LocalCache("test", ttl_seconds=10, max_entries=2, registry=registry)
    for key in ("a", "b", "a", "c", "a", "b"):  # "b" had to make room for "c"
        await cache.get(key, origin.load)
    counts = {
        result: registry.get_sample_value("cache_requests_total", {"namespace": "test", "result": result})
        for result in ("hit", "miss")
    }
    assert counts == {"hit": 2, "miss": 4}
