"""What the shared cache adds: several processes, and a Redis that does not work."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from prodkit.breaker import BreakerState
from prodkit.cache import Cache, CacheMetrics, Policy, StoreError, shared_cache
from prodkit.cache.redis_store import RedisStore
from prodkit.redis_client import connect_redis
from tests.service.processes import eventually
from tests.service.real.servers import Server, redis_server
from tests.service.real.test_cache import Clock, Origin, clock, until

__all__ = ["clock"]


@contextlib.asynccontextmanager
async def replica(
    server: Server,
    clock: Clock,
    *,
    app: str,
    seconds: float = 2,
    metrics: CacheMetrics | None = None,
    value_type: Any = int | None,
    **policy: Any,
) -> AsyncIterator[tuple[Cache[Any], RedisStore]]:
    """What one process has."""
    client = connect_redis(f"redis://127.0.0.1:{server.port}", seconds=seconds)
    store = RedisStore(client, operation_seconds=seconds)
    cache = shared_cache(
        "test",
        Policy(**({"soft_seconds": 10, "patience_seconds": seconds} | policy)),
        store=store,
        value_type=value_type,
        app=app,
        metrics=metrics,
        clock=clock,
    )
    try:
        yield cache, store
    finally:
        await cache.close()
        await client.aclose()


@pytest.fixture
def app() -> str:
    """A name that no other test uses."""
    return f"test-{time.monotonic_ns()}"


async def test_of_several_processes_one_loads(redis: Server, clock: Clock, app: str) -> None:
    origin = Origin()
    origin.go.clear()
    async with replica(redis, clock, app=app) as (one, _), replica(redis, clock, app=app) as (two, _):
        callers = [asyncio.create_task(cache.get("a", origin.load)) for cache in (one, two, one, two)]
        await until(origin, 1)
        origin.go.set()
        assert await asyncio.gather(*callers) == [1] * 4
    assert origin.calls == 1


async def test_a_new_process_loads_nothing(redis: Server, clock: Clock, app: str) -> None:
    origin = Origin()
    for _ in range(3):
        async with replica(redis, clock, app=app) as (cache, _):
            assert await cache.get("a", origin.load) == 1


async def test_a_stale_value_is_refreshed_once_by_all_together(redis: Server, clock: Clock, app: str) -> None:
    origin = Origin()
    async with (
        replica(redis, clock, app=app, stale_seconds=100) as (one, _),
        replica(redis, clock, app=app, stale_seconds=100) as (two, _),
    ):
        assert [await cache.get("a", origin.load) for cache in (one, two)] == [1, 1]
        clock.now += 11.1
        for _ in range(50):
            for cache in (one, two):
                assert await cache.get("a", origin.load) in (1, 2)

        async def renewed() -> bool:
            return [await cache.get("a", origin.load) for cache in (one, two)] == [2, 2]

        await eventually(renewed, what="the new value in both")
    assert origin.calls == 2


async def test_a_failed_refresh_keeps_all_processes_away_from_the_origin(
    redis: Server, clock: Clock, app: str
) -> None:
    origin, registry = Origin(), CollectorRegistry()
    metrics = CacheMetrics(registry)
    policy: dict[str, Any] = {"stale_seconds": 100, "backoff_seconds": 60, "metrics": metrics}
    async with replica(redis, clock, app=app, **policy) as (one, _):
        assert await one.get("a", origin.load) == 1
        clock.now += 11.1
        origin.fails = True
        assert await one.get("a", origin.load) == 1
        await _refreshes(registry, "failed")
        async with replica(redis, clock, app=app, **policy) as (two, _):
            assert await two.get("a", origin.load) == 1
            await _refreshes(registry, "elsewhere")
    assert origin.calls == 2


async def test_a_change_is_seen_by_the_others_within_the_local_time(
    redis: Server, clock: Clock, app: str
) -> None:
    origin = Origin()
    async with replica(redis, clock, app=app) as (one, _), replica(redis, clock, app=app) as (two, _):
        assert [await cache.get("a", origin.load) for cache in (one, two)] == [1, 1]
        await one.forget("a")
        assert await one.get("a", origin.load) == 2
        clock.now += 1.1
        assert await two.get("a", origin.load) == 2


async def test_a_flush_is_seen_by_the_others_within_a_second(redis: Server, clock: Clock, app: str) -> None:
    origin = Origin()
    async with replica(redis, clock, app=app) as (one, _), replica(redis, clock, app=app) as (two, _):
        assert [await cache.get("a", origin.load) for cache in (one, two)] == [1, 1]
        await one.flush()
        assert await one.get("a", origin.load) == 2
        clock.now += 1.1
        assert await two.get("a", origin.load) == 2


async def test_a_load_from_before_anothers_change_does_not_overwrite_it(
    redis: Server, clock: Clock, app: str
) -> None:
    slow, quick = Origin(), Origin()
    slow.go.clear()
    async with replica(redis, clock, app=app) as (one, _), replica(redis, clock, app=app) as (two, _):
        old = asyncio.create_task(one.get("a", slow.load))
        await until(slow, 1)
        await two.forget("a")
        quick.calls = 10
        assert await two.get("a", quick.load) == 11
        slow.go.set()
        assert await old == 1
        clock.now += 1.1
        assert await one.get("a", slow.load) == 11


async def test_two_versions_do_not_read_each_others_shape(redis: Server, clock: Clock, app: str) -> None:
    async def text() -> str:
        return "text"

    origin = Origin()
    async with (
        replica(redis, clock, app=app) as (old, _),
        replica(redis, clock, app=app, value_type=str) as (new, _),
    ):
        assert await old.get("a", origin.load) == 1
        assert await new.get("a", text) == "text"


async def test_what_somebody_else_put_there_is_a_miss(redis: Server, clock: Clock, app: str) -> None:
    origin = Origin()
    async with replica(redis, clock, app=app) as (cache, store):
        await cache.get("a", origin.load)
        client = store._client
        [name] = [key async for key in client.scan_iter(f"{{{app}:*")]
        for rubbish in (b"", b"1 2", b"1 2 3 x 5\n7", b"1 0 9999999999999 9999999999999 1\n\x80\x04K\x01."):
            await client.set(name, rubbish)
            clock.now += 1.1
            assert isinstance(await cache.get("a", origin.load), int)


async def test_a_redis_that_hangs_costs_at_most_one_operations_time(clock: Clock, app: str) -> None:
    origin, registry = Origin(), CollectorRegistry()
    with redis_server() as server:
        async with replica(server, clock, app=app, seconds=0.1, metrics=CacheMetrics(registry)) as (
            cache,
            store,
        ):
            assert await cache.get("warm", origin.load) == 1
            server.pause()
            clock.now += 1.1  # the copy in the process is no longer believed without asking
            assert await cache.get("warm", origin.load) == 1
            assert await cache.get("cold", origin.load) == 2
            assert registry.get_sample_value("cache_store_faults_total", {"operation": "generation"}) == 2
            for key in "abc":
                await cache.get(key, origin.load)
            assert store.breaker.state is BreakerState.OPEN
            await cache.forget("warm")  # while nobody listens
            with pytest.raises(StoreError):
                await cache.flush()
            server.resume()

            async def forgotten() -> bool:
                clock.now += 1.1
                return (await cache.get("warm", origin.load) or 0) > 1

            await eventually(forgotten, what="the forgotten value loaded anew")

            async def closed() -> bool:
                clock.now += 1.1
                await cache.get("warm", origin.load)
                return store.breaker.state is BreakerState.CLOSED

            await eventually(closed, what="the breaker closed")


async def test_a_redis_that_is_slow_is_not_waited_for_and_its_late_answer_counts(
    clock: Clock, app: str
) -> None:
    origin, registry = Origin(), CollectorRegistry()
    with redis_server() as server:
        async with (
            replica(server, clock, app=app) as (one, _),
            replica(
                server, clock, app=app, seconds=20, patience_seconds=0.01, metrics=CacheMetrics(registry)
            ) as (two, _),
        ):
            assert [await cache.get("a", origin.load) for cache in (one, two)] == [1, 1]
            await one.forget("a")
            assert await one.get("a", origin.load) == 2
            server.pause()
            clock.now += 1.1  # the copies in the processes are no longer believed without asking
            assert await two.get("a", origin.load) == 1  # long before the operation's time is over
            assert registry.get_sample_value("cache_store_faults_total", {"operation": "generation"}) == 0
            server.resume()

            async def answered() -> bool:  # the clock stands still: nobody asks again
                return bool(await two.get("a", origin.load) == 2)

            await eventually(answered, what="the late answer")


async def test_a_redis_that_is_not_there_is_no_error(clock: Clock, app: str) -> None:
    origin = Origin()
    with redis_server() as server:
        server.stop()
        async with replica(server, clock, app=app, stale_seconds=100) as (cache, _):
            assert await cache.get("a", origin.load) == 1
            clock.now += 11.1
            assert await cache.get("a", origin.load) == 1
            await until(origin, 2)
        server.start()


async def _refreshes(registry: CollectorRegistry, outcome: str) -> None:
    async def counted() -> bool:
        labels = {"cache": "test", "outcome": outcome}
        return bool(registry.get_sample_value("cache_refreshes_total", labels))

    await eventually(counted, what=f"a refresh that ended {outcome}")
