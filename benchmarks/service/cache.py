"""A hot key in four processes: what its slow origin gets to do, and what callers wait.

The origin takes 300 ms, a value is fresh for a second. Then Redis hangs, and then all processes are replaced at once.
The same for a careful team's cache and the tutorials', of which nothing is asked.

    python -m benchmarks.service cache                  about 4 minutes
    python -m benchmarks.service cache --seconds 5      quicker, less exact

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.figures import Figure, report
from benchmarks.service.dependents import SOFT_SECONDS
from benchmarks.service.openloop import Answer, OpenLoop
from benchmarks.service.processes import Server, go_first, machine, serve
from prodkit.cache.redis_store import OPERATION_SECONDS
from tests.service.real.servers import Server as Redis
from tests.service.real.servers import redis_server

PROCESSES = 4
RATE = 50.0  # of each process
OK = 200
OURS = "ours"
STACKS = {
    OURS: ("benchmarks.service.dependents", "hot"),
    "peer": ("benchmarks.service.others", "hot_peer"),
    "peer_client_side": ("benchmarks.service.others", "hot_peer_client_side"),
    "tutorial": ("benchmarks.service.others", "hot_tutorial"),
}
"""Module and service; each has processes and a Redis of its own, one after the other."""

Row = tuple[str, float, str, float | None]
"""Name, value, unit, and the most that ours may have."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-cache.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service cache",
        description="Origin calls and waiting times of a hot key in four processes; Redis hangs, all restart.",
        epilog="example: python -m benchmarks.service cache --seconds 5",
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each phase (default 20)")
    seconds = parser.parse_args(argv).seconds
    if seconds < 2:
        parser.error(f"--seconds: {seconds} cannot be used: write 2 or more")
    figures = [figure for stack in STACKS for figure in _stack(stack, seconds)]
    conditions: dict[str, object] = {"seconds": seconds, "processes": PROCESSES, "rate": PROCESSES * RATE}
    return report("bench-service-cache", figures, conditions | machine())


def _stack(stack: str, seconds: float) -> list[Figure]:
    sys.stderr.write(f"{stack} …\n")
    with redis_server() as redis, tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "origin"
        log.touch()
        env = {"REDIS_URL": f"redis://127.0.0.1:{redis.port}", "ORIGIN_LOG": str(log)}
        with _processes(stack, env) as servers:
            rows = asyncio.run(_with_redis(servers, log, seconds))
            rows += asyncio.run(_without_redis(servers, redis, log, seconds))
        before = len(_calls(log, "long"))
        with _processes(stack, env) as servers:
            rows.append(asyncio.run(_restarted(servers, log, before)))
    prefix = "cache_" if stack == OURS else f"cache_{stack}_"
    return [
        Figure(prefix + name, value, unit, goal if stack == OURS else None, at_most=True)
        for name, value, unit, goal in rows
    ]


@contextlib.contextmanager
def _processes(stack: str, env: dict[str, str]) -> Iterator[list[Server]]:
    module, service = STACKS[stack]
    go_first(0)
    with contextlib.ExitStack() as started:
        servers = [
            started.enter_context(serve(service, service, module=module, env=env)) for _ in range(PROCESSES)
        ]
        for server in servers:
            go_first(server.pid)
        yield servers


async def _with_redis(servers: list[Server], log: Path, seconds: float) -> list[Row]:
    await _load(servers, "/long", 0.5)
    cold = await _load(servers, "/hot", 0.5)
    before = len(_calls(log, "hot"))
    answers = await _load(servers, "/hot", seconds)
    calls = _calls(log, "hot")
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    return [
        ("cold_origin_calls", before, "calls", 1),
        ("cold_failed", _failed(cold), "requests", 0),
        ("origin_calls_per_soft_period", _per_period(len(calls) - before, seconds), "calls", 1),
        ("origin_calls_too_early", sum(gap < SOFT_SECONDS for gap in gaps), "calls", 0),
        ("p99", _p99(answers) * 1000, "ms", 5),
        ("failed", _failed(answers), "requests", 0),
    ]


async def _without_redis(servers: list[Server], redis: Redis, log: Path, seconds: float) -> list[Row]:
    before = len(_calls(log, "hot"))
    await asyncio.to_thread(redis.pause)
    answers = await _load(servers, "/hot", seconds)
    calls = len(_calls(log, "hot")) - before
    await asyncio.to_thread(redis.resume)
    return [
        ("redis_hung_p99", _p99(answers) * 1000, "ms", OPERATION_SECONDS * 1000),
        ("redis_hung_slowest", max(it.seconds for it in answers) * 1000, "ms", None),
        ("redis_hung_failed", _failed(answers), "requests", 0),
        ("redis_hung_origin_calls_per_soft_period", _per_period(calls, seconds), "calls", None),
    ]


async def _restarted(servers: list[Server], log: Path, before: int) -> Row:
    """What was kept for an hour before: nobody may load it again."""
    await _load(servers, "/long", 1)
    return ("extra_origin_calls_of_a_restart", len(_calls(log, "long")) - before, "calls", 0)


def _per_period(calls: int, seconds: float) -> float:
    return calls / (seconds / SOFT_SECONDS)


async def _load(servers: list[Server], path: str, seconds: float) -> list[Answer]:
    clients = [OpenLoop(server.port, path, timeout=5) for server in servers]
    answers = await asyncio.gather(*(client.phase(RATE, seconds) for client in clients))
    for client in clients:
        client.close()
    return [answer for each in answers for answer in each]


def _calls(log: Path, key: str) -> list[float]:
    lines = [line.split() for line in log.read_text().splitlines()]
    return sorted(float(when) for name, when in lines if name == key)


def _failed(answers: list[Answer]) -> int:
    return sum(it.status != OK for it in answers)


def _p99(answers: list[Answer]) -> float:
    return sorted(it.seconds for it in answers)[int(0.99 * len(answers))]
