"""What every cache does, in one process and on a real Redis: the same tests on both."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from prodkit.cache import Cache, CacheMetrics, Policy, local_cache, shared_cache
from prodkit.cache.redis_store import RedisStore
from prodkit.redis_client import connect_redis
from tests.service.processes import eventually
from tests.service.real.servers import Server

Make = Callable[..., Cache[int | None]]


class Origin:
    """Counts loads; holds them back until the test lets them go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()
        self.fails = False
        self.absent = False

    async def load(self) -> int | None:
        self.calls += 1
        call = self.calls
        await self.go.wait()
        if self.fails:
            raise LookupError
        return None if self.absent else call


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> CacheMetrics:
    return CacheMetrics(registry)


@pytest.fixture(params=["local", "redis"])
async def make(request: pytest.FixtureRequest, clock: Clock, metrics: CacheMetrics) -> AsyncIterator[Make]:
    """Makes a cache with the given policy; on Redis each is what another process would have."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "redis":
            server: Server = request.getfixturevalue("redis")
            app = f"test-{time.monotonic_ns()}"

        def build(**policy: Any) -> Cache[int | None]:
            if request.param == "local":
                return local_cache("test", Policy(**policy), metrics=metrics, clock=clock)
            client = connect_redis(f"redis://127.0.0.1:{server.port}", seconds=2)
            stack.push_async_callback(client.aclose)
            store = RedisStore(client, operation_seconds=2)  # the machine may be busy
            cache = shared_cache(
                "test",
                Policy(**({"patience_seconds": 2} | policy)),
                store=store,
                value_type=int | None,
                app=app,
                metrics=metrics,
                clock=clock,
            )
            stack.push_async_callback(cache.close)
            return cache

        yield build


async def until(origin: Origin, calls: int) -> None:
    async def reached() -> bool:
        return origin.calls >= calls

    await eventually(reached, what=f"{calls} loads")


def count(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, {"cache": "test", **labels}) or 0.0


async def test_a_value_lives_for_its_time(make: Make, clock: Clock) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    assert [await cache.get("a", origin.load) for _ in range(3)] == [1, 1, 1]
    clock.now += 11.1
    assert await cache.get("a", origin.load) == 2


async def test_a_stale_value_is_served_at_once_and_loaded_anew_behind_the_back(
    make: Make, clock: Clock
) -> None:
    origin, cache = Origin(), make(soft_seconds=10, stale_seconds=100)
    assert await cache.get("a", origin.load) == 1
    clock.now += 11.1
    origin.go.clear()
    assert [await cache.get("a", origin.load) for _ in range(20)] == [1] * 20
    await until(origin, 2)
    origin.go.set()

    async def renewed() -> bool:
        return await cache.get("a", origin.load) == 2

    await eventually(renewed, what="the new value")
    assert origin.calls == 2


async def test_an_origin_that_fails_is_left_in_peace_while_the_old_value_is_served(
    make: Make, clock: Clock, registry: CollectorRegistry
) -> None:
    origin, cache = Origin(), make(soft_seconds=10, stale_seconds=1000, backoff_seconds=20)
    assert await cache.get("a", origin.load) == 1
    clock.now += 11.1
    origin.fails = True
    assert await cache.get("a", origin.load) == 1

    async def failed() -> bool:
        return count(registry, "cache_refreshes_total", outcome="failed") == 1

    await eventually(failed, what="the failed refresh")
    clock.now += 9  # the pause is 10 s at least
    assert [await cache.get("a", origin.load) for _ in range(20)] == [1] * 20
    assert origin.calls == 2


async def test_after_the_stale_time_the_error_is_the_callers(make: Make, clock: Clock) -> None:
    origin, cache = Origin(), make(soft_seconds=1, stale_seconds=10)
    await cache.get("a", origin.load)
    clock.now += 12
    origin.fails = True
    with pytest.raises(LookupError):
        await cache.get("a", origin.load)


async def test_absence_is_a_value_with_a_time_of_its_own(make: Make, clock: Clock) -> None:
    origin, cache = Origin(), make(soft_seconds=100, absent_seconds=5, stale_seconds=100)
    origin.absent = True
    assert [await cache.get("a", origin.load) for _ in range(2)] == [None, None]
    assert origin.calls == 1
    clock.now += 5.6
    origin.absent = False
    assert await cache.get("a", origin.load) == 2


async def test_one_load_at_a_time_per_key(make: Make) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    origin.go.clear()
    callers = [asyncio.create_task(cache.get("a", origin.load)) for _ in range(10)]
    await until(origin, 1)
    origin.go.set()
    assert await asyncio.gather(*callers) == [1] * 10


async def test_a_caller_that_leaves_does_not_take_the_load_along(make: Make) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    origin.go.clear()
    first = asyncio.create_task(cache.get("a", origin.load))
    second = asyncio.create_task(cache.get("a", origin.load))
    await until(origin, 1)
    first.cancel()
    origin.go.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_is_raised_and_not_kept(make: Make) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    origin.fails = True
    with pytest.raises(LookupError):
        await cache.get("a", origin.load)
    origin.fails = False
    assert await cache.get("a", origin.load) == 2


async def test_a_load_that_began_before_a_change_is_not_kept(make: Make) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    origin.go.clear()
    old = asyncio.create_task(cache.get("a", origin.load))
    await until(origin, 1)
    await cache.forget("a")
    origin.go.set()
    assert await old == 1
    assert await cache.get("a", origin.load) == 2


async def test_a_flush_forgets_every_key(make: Make) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    assert [await cache.get(key, origin.load) for key in "ab"] == [1, 2]
    await cache.flush()
    assert [await cache.get(key, origin.load) for key in "ab"] == [3, 4]


async def test_a_closed_cache_serves_and_refreshes_no_more(make: Make, clock: Clock) -> None:
    origin, cache = Origin(), make(soft_seconds=10, stale_seconds=100)
    await cache.get("a", origin.load)
    clock.now += 11.1
    await cache.close()
    assert await cache.get("a", origin.load) == 1
    await asyncio.sleep(0)
    assert origin.calls == 1


async def test_look_ups_are_counted_by_where_the_value_came_from(
    make: Make, registry: CollectorRegistry
) -> None:
    origin, cache = Origin(), make(soft_seconds=10)
    for key in ("a", "b", "a", "a"):
        await cache.get(key, origin.load)
    counted = {
        result: count(registry, "cache_requests_total", result=result)
        for result in ("hit", "shared", "stale", "miss")
    }
    assert counted == {"hit": 2, "shared": 0, "stale": 0, "miss": 2}


async def test_the_local_memory_is_bounded(clock: Clock) -> None:
    origin = Origin()
    cache = local_cache("test", Policy(soft_seconds=10), max_entries=2, clock=clock)
    values = [await cache.get(key, origin.load) for key in ("a", "b", "a", "c", "a", "b")]
    assert values == [1, 2, 1, 3, 1, 4]  # "b" had to make room for "c"
