"""Who may leave for a dependency that is down: replicas that hear of each other through a real Redis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prodkit import Check
from prodkit.fleet import LIFE_SECONDS, PATIENCE_SECONDS, Fleet
from prodkit.health import Health
from prodkit.lifecycle import Lifecycle
from prodkit.redis_client import connect_redis
from tests.service.processes import ServiceProcess, eventually, run_service
from tests.service.prodkit.test_health import Clock, Dependency
from tests.service.real.servers import Server, redis_server


class Replica:
    """One process, as far as its readiness goes."""

    def __init__(self, client: Any, app: str, clock: Clock) -> None:
        self.database = Dependency()
        self.fleet = Fleet(client, app=app, clock=clock)
        self.health = Health(
            [Check("database", self.database.probe)], lifecycle=Lifecycle(), fleet=self.fleet, clock=clock
        )
        self.health.lifecycle.mark_serving()

    async def turn(self) -> None:
        await self.health.check_once()
        await self.fleet.tell(self.health._well())


class Replicas:
    """Three of them, whose time goes by when they are told to."""

    def __init__(self, server: Server) -> None:
        self.clock = Clock()
        self.app = f"test-{time.monotonic_ns()}"
        self.client = connect_redis(f"redis://127.0.0.1:{server.port}", seconds=2)
        self.each = [self.new() for _ in range(3)]

    def new(self) -> Replica:
        return Replica(self.client, self.app, self.clock)

    async def live(self, seconds: float) -> list[list[str]]:
        """What each says, every two seconds."""
        said = []
        for _ in range(int(seconds / 2)):
            self.clock.now += 2
            for replica in self.each:
                await replica.turn()
            said.append([replica.health.status() for replica in self.each])
        return said


@contextlib.asynccontextmanager
async def replicas(server: Server) -> AsyncIterator[Replicas]:
    made = Replicas(server)
    try:
        await made.live(2 * PATIENCE_SECONDS)
        yield made
    finally:
        await made.client.aclose()


async def test_a_fault_that_all_share_takes_none_of_them_out(redis: Server) -> None:
    async with replicas(redis) as three:
        said = []
        for replica in three.each:  # they notice it one after the other
            replica.database.works = False
            said += await three.live(2)
        said += await three.live(120)
        assert {status for each in said for status in each} == {"ok", "degraded"}
        assert said[-1] == ["degraded"] * 3
        assert three.each[0].health.report()["fleet"] == {"others": 2, "well": 0}
        for replica in three.each:
            replica.database.works = True
            said += await three.live(2)
        said += await three.live(120)
        assert {status for each in said for status in each} == {"ok", "degraded"}
        assert said[-1] == ["ok"] * 3


async def test_who_alone_has_trouble_leaves_once_the_others_had_time_to_notice(redis: Server) -> None:
    async with replicas(redis) as three:
        three.each[1].database.works = False
        assert (await three.live(6 + PATIENCE_SECONDS - 2))[-1] == ["ok", "degraded", "ok"]
        assert (await three.live(2))[-1] == ["ok", "unavailable", "ok"]
        three.each[0].database.works = False  # half of the others do well still
        assert (await three.live(6 + PATIENCE_SECONDS))[-1] == ["unavailable", "unavailable", "ok"]
        three.each[2].database.works = False  # now none does: all of them are better than nobody
        assert (await three.live(10))[-1] == ["degraded"] * 3


async def test_what_never_worked_here_keeps_it_unready_whatever_the_others_say(redis: Server) -> None:
    async with replicas(redis) as three:
        new = three.new()
        new.database.works = False
        await new.turn()
        assert new.health.status() == "unavailable"


async def test_without_news_nobody_leaves() -> None:
    with redis_server() as server:
        async with replicas(server) as three:
            ill = three.each[0]
            ill.database.works = False
            assert (await three.live(6 + PATIENCE_SECONDS))[-1][0] == "unavailable"
            server.stop()
            said = await three.live(LIFE_SECONDS + 2)
            assert said[-1] == ["degraded", "ok", "ok"]


async def test_one_that_is_the_only_one_stays(redis: Server) -> None:
    async with replicas(redis) as one:
        for replica in one.each[1:]:
            await replica.fleet.tell(None)
        del one.each[1:]
        one.each[0].database.works = False
        assert (await one.live(60))[-1] == ["degraded"]
        assert one.each[0].fleet.others == 0


@pytest.mark.parametrize("rubbish", [b"", b"x", b"1 2 3", b"nan 1", b"99999999999 1", b"\xff\xfe 1"])
async def test_what_somebody_else_put_there_is_nobody(redis: Server, rubbish: bytes) -> None:
    async with replicas(redis) as three:
        await three.client.hset(f"{three.app}:fleet", mapping={b"\xff": rubbish})
        await three.live(2)
        assert {(it.fleet.others, it.fleet.others_well) for it in three.each} == {(2, 2)}
        assert b"\xff" not in await three.client.hgetall(f"{three.app}:fleet")


@pytest.fixture
def env(redis: Server) -> dict[str, str]:
    return {
        "CATALOG_NAME": f"fleet-{time.monotonic_ns()}",
        "CATALOG_REDIS_URL": f"redis://127.0.0.1:{redis.port}",
        "CATALOG_HOST": "127.0.0.1",
        "CATALOG_PORT": "0",
        "CATALOG_ADMIN_PORT": "0",
        "CATALOG_PROPAGATION_SECONDS": "0",
        "CATALOG_QUIET_SECONDS": "0",
    }


async def test_catalogues_know_of_each_other_until_they_leave(env: dict[str, str], tmp_path: Path) -> None:
    async def others(service: ServiceProcess, count: int) -> bool:
        report = (await service.admin("/readyz")).json()
        return bool(report["fleet"] == {"others": count, "well": count})

    async with (
        run_service("-m", "catalog", log=tmp_path / "one", env=env) as one,
        run_service("-m", "catalog", log=tmp_path / "two", env=env) as two,
    ):
        for service in (one, two):
            await eventually(partial(others, service, 1), what="the other one is known")
        two.stop()
        assert await two.wait(30) == 0
        await eventually(partial(others, one, 0), seconds=LIFE_SECONDS - 2, what="the other one has left")
