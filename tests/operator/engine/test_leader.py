"""Leader election against a Lease that two candidates share, on a clock of our own."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from productionservice.engine.answers import Conflict, NotFound
from productionservice.engine.client import Resource
from productionservice.engine.leader import Fenced, LeaderElector
from productionservice.errors import Transient


class Clock:
    """Time that moves when somebody sleeps; sleepers run in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            due = sorted((at, i) for i, (at, f) in enumerate(self._sleepers) if at <= end and not f.done())
            if not due:
                break
            at, index = due[0]
            self.now = at
            _, woken = self._sleepers.pop(index)
            woken.set_result(None)
        self.now = end


class Leases:
    """One Lease on a server, with optimistic locking."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.down_for: set[str] = set()
        self._version = 0

    def client(self, name: str) -> LeaseClient:
        return LeaseClient(self, name)

    @property
    def holder(self) -> str:
        return self.lease["spec"]["holderIdentity"] if self.lease else ""

    def store(self, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        self.lease = copy.deepcopy(
            {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        )
        return copy.deepcopy(self.lease)


class LeaseClient:
    def __init__(self, leases: Leases, name: str) -> None:
        self._leases, self._name = leases, name

    async def get(self, _resource: Resource, _namespace: str | None, _name: str) -> dict[str, Any]:
        self._reach()
        if self._leases.lease is None:
            raise NotFound("no lease")
        return copy.deepcopy(self._leases.lease)

    async def post(self, _resource: Resource, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        if self._leases.lease is not None:
            raise Conflict("exists")
        return self._leases.store(body)

    async def put(self, _resource: Resource, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._reach()
        assert self._leases.lease is not None
        if body["metadata"]["resourceVersion"] != self._leases.lease["metadata"]["resourceVersion"]:
            raise Conflict("changed")
        return self._leases.store(body)

    def _reach(self) -> None:
        if self._name in self._leases.down_for:
            raise Transient("no route")


class Election:
    def __init__(self) -> None:
        self.clock, self.leases = Clock(), Leases()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, name: str) -> LeaderElector:
        elector = LeaderElector(
            self.leases.client(name), namespace="system", name="operator", identity=name,
            clock=self.clock, sleep=self.clock.sleep,
        )  # fmt: skip
        self.tasks[name] = asyncio.create_task(elector.run())
        return elector

    def kill(self, name: str) -> None:
        self.tasks.pop(name).cancel()

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@pytest.fixture
async def election() -> Any:
    made = Election()
    yield made
    await made.end()


async def test_one_of_two_leads_and_keeps_leading(election: Election) -> None:
    a = election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await election.clock.advance(600)

    assert (a.leading.is_set(), b.leading.is_set()) == (True, False)
    assert election.leases.holder == "a"


async def test_a_killed_leader_is_replaced_after_its_lease_and_not_before(election: Election) -> None:
    election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await election.clock.advance(5)
    election.kill("a")

    await election.clock.advance(10)
    assert not b.leading.is_set()
    await election.clock.advance(10)
    assert b.leading.is_set()
    assert election.leases.lease is not None
    assert election.leases.lease["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_at_the_next_try(election: Election) -> None:
    a = election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await election.clock.advance(5)
    election.kill("a")
    await a.release()

    await election.clock.advance(2.5)
    assert b.leading.is_set()


async def test_a_leader_that_cannot_renew_stops_before_another_may_start(election: Election) -> None:
    a = election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await election.clock.advance(5)
    election.leases.down_for.add("a")

    stopped = started = 0.0
    for _ in range(300):
        await election.clock.advance(0.1)
        stopped = stopped or (0.0 if a.leading.is_set() else election.clock.now)
        started = started or (election.clock.now if b.leading.is_set() else 0.0)
    assert 0 < stopped < started
    assert election.tasks["a"].done()


async def test_a_leader_whose_lease_was_taken_stops(election: Election) -> None:
    a = election.join("a")
    await election.clock.advance(5)
    assert election.leases.lease is not None
    thief = copy.deepcopy(election.leases.lease)
    thief["spec"]["holderIdentity"] = "thief"
    election.leases.store(thief)
    await election.clock.advance(2.5)

    assert not a.leading.is_set()
    assert election.leases.holder == "thief"


async def test_release_leaves_another_holders_lease_alone(election: Election) -> None:
    election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await b.release()

    assert election.leases.holder == "a"


async def test_a_leader_that_was_stopped_for_too_long_may_not_write(election: Election) -> None:
    a = election.join("a")
    await election.clock.advance(1)
    assert a.leading.is_set()
    a.fence()

    election.clock.now += 60  # stopped, and continued: nothing in this process has run meanwhile
    with pytest.raises(Fenced, match="renewed 6"):
        a.fence()


async def test_who_never_led_may_not_write(election: Election) -> None:
    election.clock.now = 1000.0
    election.join("a")
    await election.clock.advance(1)
    b = election.join("b")
    await election.clock.advance(30)
    assert not b.leading.is_set()
    with pytest.raises(Fenced):
        b.fence()
