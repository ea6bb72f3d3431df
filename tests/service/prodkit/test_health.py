"""Readiness from checks and lifecycle."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from prodkit import Check
from prodkit.health import Health
from prodkit.hysteresis import Thresholds
from prodkit.lifecycle import Lifecycle


class Dependency:
    """Works or not, as the test says."""

    def __init__(self) -> None:
        self.works = True
        self.hangs = False

    async def probe(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if not self.works:
            raise ConnectionError("to user:canary@db.example")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def dependency() -> Dependency:
    return Dependency()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_health(dependency: Dependency, clock: Clock, *, critical: bool = True) -> Health:
    health = Health(
        [Check("database", dependency.probe, critical=critical, timeout_seconds=0.02)],
        lifecycle=Lifecycle(),
        clock=clock,
    )
    health.lifecycle.mark_serving()
    return health


async def ask(health: Health, clock: Clock, times: int = 1) -> None:
    for _ in range(times):
        clock.now += 2
        await health.check_once()


async def test_a_critical_dependency_makes_it_unready_after_three_failures(
    dependency: Dependency, clock: Clock
) -> None:
    health = make_health(dependency, clock)
    await ask(health, clock)
    dependency.works = False
    await ask(health, clock, 2)
    assert health.status() == "ok"

    await ask(health, clock)
    assert (health.status(), health.ready()) == ("unavailable", False)

    dependency.works = True
    await ask(health, clock, 7)
    assert health.status() == "unavailable"  # 14 s: held
    await ask(health, clock)
    assert (health.status(), health.ready()) == ("ok", True)


async def test_an_optional_dependency_makes_it_degraded_and_ready(
    dependency: Dependency, clock: Clock
) -> None:
    dependency.works = False
    health = make_health(dependency, clock, critical=False)
    await ask(health, clock)
    assert (health.status(), health.ready()) == ("degraded", True)


async def test_a_check_that_hangs_does_not_work(dependency: Dependency, clock: Clock) -> None:
    dependency.hangs = True
    health = make_health(dependency, clock)
    await ask(health, clock)
    check = health.report()["checks"]["database"]
    assert (check["status"], check["error"]) == ("unavailable", "TimeoutError")


async def test_the_report_names_each_check_and_leaks_nothing(dependency: Dependency, clock: Clock) -> None:
    health = make_health(dependency, clock)
    assert health.report()["checks"]["database"] == {"status": "unknown", "critical": True}
    await ask(health, clock)
    check = health.report()["checks"]["database"]
    assert set(check) == {"status", "critical", "latencyMs", "checkedAt"}
    dependency.works = False
    await ask(health, clock)
    assert health.report()["checks"]["database"]["error"] == "ConnectionError"
    assert "canary" not in str(health.report())


async def test_a_group_is_what_its_checks_say(dependency: Dependency, clock: Clock) -> None:
    health = Health(
        [Check("database", dependency.probe, groups=("writes",)), Check("disk", Dependency().probe)],
        clock=clock,
    )
    health.lifecycle.mark_serving()
    dependency.works = False
    await ask(health, clock)
    assert (health.status(), health.groups()) == ("unavailable", {"writes"})
    assert health.report("writes")["checks"].keys() == {"database"}
    assert not health.ready("writes")

    dependency.works = True
    await ask(health, clock, 8)
    assert health.ready("writes")


async def test_a_verdict_that_is_not_renewed_says_so_and_stays(dependency: Dependency, clock: Clock) -> None:
    health = make_health(dependency, clock)
    await ask(health, clock)
    clock.now += 7
    assert health.report()["checks"]["database"]["stale"] is True
    assert health.ready()


async def test_the_lifecycle_comes_first(dependency: Dependency, clock: Clock) -> None:
    health = Health([Check("database", dependency.probe)], clock=clock)
    assert (health.status(), health.ready()) == ("starting", False)
    health.lifecycle.mark_serving()
    assert health.ready()
    health.lifecycle.mark_draining()
    assert (health.status(), health.ready()) == ("draining", False)
    health.lifecycle.mark_serving()  # there is no way back
    assert not health.ready()


async def test_metrics_follow_the_verdicts(dependency: Dependency, clock: Clock) -> None:
    health = make_health(dependency, clock)
    registry = CollectorRegistry()
    health.register(registry)
    assert registry.get_sample_value("readiness_flips_total", {"dependency": "database"}) == 0
    await ask(health, clock)
    assert registry.get_sample_value("dependency_up", {"dependency": "database"}) == 1
    dependency.works = False
    await ask(health, clock, 3)
    assert registry.get_sample_value("dependency_up", {"dependency": "database"}) == 0
    assert registry.get_sample_value("service_ready") == 0
    assert registry.get_sample_value("readiness_flips_total", {"dependency": "database"}) == 1


async def test_the_background_asks_again_and_again() -> None:
    asked = 0
    twice = asyncio.Event()

    async def probe() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            twice.set()

    health = Health([Check("database", probe, period_seconds=0.01, thresholds=Thresholds())])
    running = asyncio.create_task(health.run())
    async with asyncio.timeout(5):
        await twice.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert health.report()["checks"]["database"]["status"] == "ok"


def test_two_checks_of_one_name_are_refused(dependency: Dependency) -> None:
    with pytest.raises(ValueError, match="has a name twice"):
        Health([Check("database", dependency.probe), Check("database", dependency.probe)])
