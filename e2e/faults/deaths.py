"""Faults in which the operator itself dies, sleeps, or is there twice."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e.eventually import eventually
from e2e.faults.operator import FaultyOperator
from e2e.faults.proxy import FaultProxy
from e2e.faults.registry import fault
from e2e.faults.rules import Call, Do, Reset
from e2e.faults.world import World

LEADER = 'leader_election_master_status{name="productionservice-operator"}'


def _sweep(world: World, act: Callable[[str], None], names: list[str], *, after: bool) -> int:
    """Kill at the first write of the first name, the second of the second, …; returns the number of deaths."""
    deaths = 0
    for nth, name in enumerate(names, 1):
        deaths += _die_at(world, act, name, nth, after=after)
        world.operator.again()
        world.converged(name)
        eventually(functools.partial(world.as_rendered, name), timeout=30)
    return deaths


def _die_at(world: World, act: Callable[[str], None], name: str, nth: int, *, after: bool) -> bool:
    """True when the operator was killed; False when there was no such write."""

    def die(_call: Call) -> None:
        world.operator.kill()
        raise Reset

    death = Do(then=die) if after else Do(first=die)
    rule = world.proxy.add(death, writes=True, namespace=world.namespace, name=name, nth=nth)
    act(name)
    world.until(lambda: _dead(world) or (not rule.hits and _done(world, name)), f"write {nth} of {name}")
    world.proxy.clear()
    return _dead(world)


def _dead(world: World) -> bool:
    return world.operator.process is None or world.operator.process.poll() is not None


def _done(world: World, name: str) -> bool:
    try:
        world.converged(name, timeout=0)
    except (AssertionError, LookupError):
        return False
    return True


def _names(count: int) -> list[str]:
    return [f"catalog-{index}" for index in range(1, count + 1)]


@fault("F01a", "killed after each write of a creation", "same end; nothing twice")
def dies_creating(world: World) -> None:
    assert _sweep(world, world.apply, _names(7), after=True) == 7
    world.apply()
    world.holds()


@fault("F01b", "killed before each write of a creation", "same end; nothing twice", quick=False)
def dies_before_creating(world: World) -> None:
    assert _sweep(world, world.apply, _names(7), after=False) == 7
    world.apply()
    world.holds()


@fault(
    "F01c",
    "killed before and after each write of an edit that adds and removes children",
    "same end",
    quick=False,
)
def dies_editing(world: World) -> None:
    names = _names(5)
    for after in (False, True):
        for name in names:
            world.apply(name, replicas={"min": 2, "max": 4})
            world.converged(name)
        edits = _sweep(
            world, lambda name: world.apply(name, port=8099, replicas={"min": 3}), names, after=after
        )
        assert edits >= 4
        for name in names:
            world.apply(name, replicas={"min": 2, "max": 4})
            world.converged(name)
    world.apply()
    world.holds()


@fault("F02", "SIGTERM while a write is under way", "the pass is finished or taken up again; exit code 0")
def stopped(world: World) -> None:
    terminated: list[bool] = []

    def terminate(_call: Call) -> None:
        assert world.operator.process is not None
        world.operator.process.terminate()
        terminated.append(True)

    world.proxy.add(Do(first=terminate), verb="apply", resource="deployments", namespace=world.namespace)
    world.apply()
    world.until(lambda: bool(terminated), "it was told to stop")
    assert world.operator.process is not None
    assert world.operator.process.wait(20) == 0
    world.holds()


@contextlib.contextmanager
def twin_of(world: World) -> Iterator[FaultyOperator]:
    """A second replica, behind a proxy of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="fault-twin-") as folder,
        FaultProxy(world.cluster.kubeconfig_path, Path(folder)) as proxy,
    ):
        twin = world.operator.twin(Path(folder), proxy)
        twin.start()
        try:
            yield twin
        finally:
            twin.kill()


@fault("F32", "two operators", "exactly one writes", LEADER_ELECTION="true")
def two(world: World) -> None:
    with twin_of(world) as twin:
        assert (world.operator.metric(LEADER), twin.metric(LEADER)) == (1, 0)
        world.apply()
        world.converged()
        assert twin.proxy is not None
        assert twin.proxy.writes(world.namespace) == []
        world.holds()
        assert twin.proxy.writes(world.namespace) == []


@fault(
    "F33", "the leader sleeps past its Lease and goes on", "it writes nothing more", LEADER_ELECTION="true"
)
def sleeps(world: World) -> None:
    world.apply()
    world.converged()
    with twin_of(world) as twin:
        world.operator.freeze()

        def leads() -> None:
            assert twin.metric(LEADER) == 1

        eventually(leads, timeout=40)
        # Work that the sleeper will see as soon as it wakes.
        world.kubectl("delete", "service", "catalog")
        world.forget("Service")
        world.until(lambda: world.exists("service"), "the new leader repairs it")
        before = len(world.proxy.writes(world.namespace))
        world.kubectl("patch", "service", "catalog", "--type=merge", "-p", '{"spec":{"selector":{"x":"y"}}}')
        world.operator.thaw()
        assert world.operator.process is not None
        assert world.operator.process.wait(30) == 1, "it ends, to be started anew"
        assert len(world.proxy.writes(world.namespace)) == before, "a fenced leader wrote"
    world.holds(timeout=60)
