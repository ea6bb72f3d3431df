"""What is measured. Each scenario returns its figures; goals are those of docs/performance.md."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.operator import world
from benchmarks.operator.measure import (
    AuditTail,
    Request,
    calls_until_quiet,
    cpu_seconds,
    percentile,
    resident_mb,
)
from benchmarks.operator.world import CHILDREN, BenchOperator
from e2e.cluster.providers import Cluster
from productionservice.engine.caches import RESOURCES
from productionservice.engine.client import Client

PASSES = 'controller_runtime_reconcile_total{controller="productionservice",result="success"}'
LEADER = 'leader_election_master_status{name="productionservice-operator"}'
RESYNC = 10.0
"""Seconds between two looks at everything, the least that the operator allows."""
REACTION_GOALS = {"edit_to_first_apply": 1.0, "drift_repaired": 2.0}
"""Seconds, for 99 of a hundred."""
Act = Callable[[Client, str, int], Awaitable[None]]
"""Do something to a service, by name; the number is another one each time."""


@dataclass
class Bench:
    """One run: its cluster, operator and services."""

    cluster: Cluster
    folder: Path
    services: int
    edits: int
    operator: BenchOperator = field(init=False)
    names: list[str] = field(init=False)
    reactions: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each, by what was reacted to."""
    empty_mb: float = 0.0
    cold_wall: float = 0.0
    """Seconds; with the next, what `anchor` is compared with."""
    cold_calls: int = 0
    """Requests of all kinds but watches and Leases, until there were no more."""

    def __post_init__(self) -> None:
        settings = {"LEADER_ELECTION": "false", "RESYNC_SECONDS": f"{RESYNC:g}"}
        self.operator = BenchOperator(self.cluster, "bench-system", self.folder, settings)
        self.operator.install()
        # An administrator's rights: the additional PodTemplates are none of the operator's roles.
        (self.folder / "kubeconfig").write_text(self.cluster.kubeconfig_path.read_text())
        self.names = [f"svc-{index:05}" for index in range(self.services)]

    def tail(self) -> AuditTail:
        """The audit log from now on."""
        return world.tail(self.cluster)


async def cold(bench: Bench, made: Client) -> list[Figure]:
    """Nothing but services is there; the operator starts and makes all children. Then a bare client does the same."""
    bench.operator.start()
    await asyncio.sleep(2)
    bench.empty_mb = resident_mb(bench.operator.pid)
    bench.operator.kill()
    await world.create_services(made, bench.names)
    tail, started = bench.tail(), time.monotonic()
    bench.operator.start()
    await world.converged(made, bench.services)
    wall, cpu = time.monotonic() - started, cpu_seconds(bench.operator.pid)
    asked = await calls_until_quiet(tail, of=lambda r: r.ours)
    bench.cold_wall, bench.cold_calls = wall, len(asked)
    seen = [r for r in asked if r.writes or r.tells]
    writes = [r for r in seen if r.writes]
    rate = len(seen) / (max(r.answered for r in seen) - min(r.received for r in seen))
    raw = await raw_rate(bench, made, "raw")
    return [
        Figure("cold_wall", wall, "s"),
        Figure("cold_calls_per_service", len(asked) / bench.services, "calls"),
        Figure("cold_writes_per_service", len(writes) / bench.services, "writes"),
        Figure("cold_events_per_service", (len(seen) - len(writes)) / bench.services, "events"),
        Figure("cold_write_rate", rate, "writes/s"),
        Figure("raw_write_rate", raw, "writes/s"),
        Figure("cold_rate_of_raw", rate / raw, "ratio", 0.8),
        Figure("cold_cpu_per_service", cpu / bench.services * 1e3, "ms"),
        *rss(bench),
    ]


async def raw_rate(bench: Bench, made: Client, prefix: str) -> float:
    """Writes a second of a bare loop: the same bodies under other names, with as many workers."""
    names = [f"{prefix}-{index:05}" for index in range(max(50, bench.services // 4))]
    rendered = [manifest for name in names for manifest in world.bodies(name)]
    started = time.monotonic()
    await world.each(rendered, lambda m: made.create(RESOURCES[m["kind"]], m, manager="raw"))
    return len(rendered) / (time.monotonic() - started)


def rss(bench: Bench) -> list[Figure]:
    """Memory with everything applied."""
    now = resident_mb(bench.operator.pid)
    children = bench.services * CHILDREN
    return [
        Figure("rss", now, "MB", 200, at_most=True),
        Figure("rss_empty", bench.empty_mb, "MB"),
        # Services themselves included; what a further child costs is measured by benchmarks.operator.growth.
        Figure("rss_per_child", (now - bench.empty_mb) * 1e3 / children, "kB"),
    ]


async def no_change(bench: Bench, _made: Client) -> list[Figure]:
    """Some resyncs of everything, without a change in the world."""
    await asyncio.sleep(RESYNC)  # what is left of the work before
    tail, pid = bench.tail(), bench.operator.pid
    passes, cpu = bench.operator.metric(PASSES), cpu_seconds(pid)
    await asyncio.sleep(3 * RESYNC)
    passes, cpu = bench.operator.metric(PASSES) - passes, cpu_seconds(pid) - cpu
    calls = [r for r in tail.read() if r.ours and _of_a_pass(r)]
    return [
        Figure("no_change_calls", len(calls), "calls", 0, at_most=True),
        Figure("no_change_cpu_per_pass", cpu / passes * 1e3, "ms", 0.2, at_most=True),
    ]


def _of_a_pass(request: Request) -> bool:
    """Neither a watch, nor an informer's look, once a minute, at a kind that the cluster does not serve."""
    look = request.verb == "list" and request.code == HTTPStatus.NOT_FOUND
    return request.verb != "watch" and request.resource != "productionservices" and not look


async def restart(bench: Bench, _made: Client) -> list[Figure]:
    """Killed and started with everything applied."""
    bench.operator.kill()
    tail, started = bench.tail(), time.monotonic()
    bench.operator.start(wait=False)
    while not _looked_at_all(bench):  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.1)
    wall = time.monotonic() - started
    cpu = cpu_seconds(bench.operator.pid)
    await asyncio.sleep(12)  # memory is given back some seconds after the lists
    writes = [r for r in tail.read() if r.ours and r.writes]
    return [
        Figure("restart_writes", len(writes), "writes", 0, at_most=True),
        Figure("restart_until_every_service_was_looked_at", wall, "s", 10, at_most=True),
        Figure("restart_cpu", cpu, "s"),
        Figure("restart_rss", resident_mb(bench.operator.pid), "MB", 200, at_most=True),
    ]


def _looked_at_all(bench: Bench) -> bool:
    try:
        return bench.operator.metric(PASSES) >= bench.services
    except (AssertionError, OSError):
        return False


async def edit(bench: Bench, made: Client) -> list[Figure]:
    """Somebody edits a spec, while a resync of everything goes on: until the first child is written."""
    return await _reaction(bench, made, "edit_to_first_apply", _edit)


async def drift(bench: Bench, made: Client) -> list[Figure]:
    """Somebody edits a child by hand: until it is written back."""
    return await _reaction(bench, made, "drift_repaired", _break)


async def _edit(made: Client, name: str, turn: int) -> None:
    patch = {"spec": {"shutdown": {"drainSeconds": 21 + turn % 30}}}
    await made.merge(world.SERVICES, "shop", name, patch, manager="user")


async def _break(made: Client, name: str, _turn: int) -> None:
    await made.merge(RESOURCES["Service"], "shop", name, {"spec": {"selector": {"x": "y"}}}, manager="user")


async def _reaction(bench: Bench, made: Client, name: str, act: Act) -> list[Figure]:
    """Times between the answer to `act` and the answer to the operator's first write to a child of that service."""
    tail = bench.tail()
    dice = random.Random(3)  # noqa: S311 - dice, no secret
    chosen = dice.sample(bench.names, min(bench.edits, len(bench.names)))
    for turn, service in enumerate(chosen):
        await act(made, service, turn)
        await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    seen = tail.read()
    times = []
    for service in chosen:
        acted = max(r.answered for r in seen if not r.ours and r.writes and r.name == service)
        answers = [
            r.answered for r in seen if r.ours and r.writes and r.name == service and r.answered > acted
        ]
        times.append(min(answers) - acted if answers else 60.0)
    bench.reactions[name] = times
    goal = REACTION_GOALS[name]
    return [
        Figure(f"{name}_p50", percentile(times, 0.5), "s"),
        Figure(f"{name}_p99", percentile(times, 0.99), "s", goal, at_most=True),
    ]


async def leader(bench: Bench, _made: Client) -> list[Figure]:
    """Two replicas: the leader is killed, and another time asked to stop."""
    bench.operator.kill()
    replicas = []
    for index in range(2):
        folder = bench.folder / f"replica-{index}"
        folder.mkdir()
        replica = BenchOperator(bench.cluster, "bench-system", folder, {"RESYNC_SECONDS": "600"})
        (folder / "kubeconfig").write_text(bench.cluster.kubeconfig_path.read_text())
        replicas.append(replica)
        replica.start()
        if index == 0:
            await _until_leads(replica)
    first, second = replicas
    started = time.monotonic()
    first.kill()
    killed = await _until_leads(second) - started
    first.start()
    started = time.monotonic()
    os.kill(second.pid, signal.SIGTERM)
    stopped = await _until_leads(first) - started
    second.stop()
    first.kill()
    return [
        Figure("leader_killed_until_another_leads", killed, "s", 16, at_most=True),
        Figure("leader_stopped_until_another_leads", stopped, "s", 3, at_most=True),
    ]


async def _until_leads(replica: BenchOperator) -> float:
    while replica.metric(LEADER) != 1:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.1)
    return time.monotonic()
