"""A hot key in four processes: what its slow origin gets to do, and what callers wait.

The origin takes 300 ms, a value is fresh for a second. Then Redis hangs, and then all processes are replaced at once.

    python -m benchmarks.service cache                  about a minute
    python -m benchmarks.service cache --seconds 5      quicker, less exact

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
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
    with redis_server() as redis, tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "origin"
        log.touch()
        env = {"REDIS_URL": f"redis://127.0.0.1:{redis.port}", "ORIGIN_LOG": str(log)}
        with _processes(env) as servers:
            figures = asyncio.run(_with_redis(servers, log, seconds))
            figures += asyncio.run(_without_redis(servers, redis, seconds))
        before = len(_calls(log, "long"))
        with _processes(env) as servers:
            figures.append(asyncio.run(_restarted(servers, log, before)))
    conditions: dict[str, object] = {"seconds": seconds, "processes": PROCESSES, "rate": PROCESSES * RATE}
    return report("bench-service-cache", figures, conditions | machine())


@contextlib.contextmanager
def _processes(env: dict[str, str]) -> Iterator[list[Server]]:
    go_first(0)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(serve("hot", "hot", module="benchmarks.service.dependents", env=env))
            for _ in range(PROCESSES)
        ]
        for server in servers:
            go_first(server.pid)
        yield servers


async def _with_redis(servers: list[Server], log: Path, seconds: float) -> list[Figure]:
    await _load(servers, "/long", 0.5)
    cold = await _load(servers, "/hot", 0.5)
    before = len(_calls(log, "hot"))
    answers = await _load(servers, "/hot", seconds)
    calls = _calls(log, "hot")
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    return [
        Figure("cache_cold_origin_calls", before, "calls", 1, at_most=True),
        Figure("cache_cold_failed", _failed(cold), "requests", 0, at_most=True),
        Figure(
            "cache_origin_calls_per_soft_period",
            (len(calls) - before) / (seconds / SOFT_SECONDS),
            "calls",
            1,
            at_most=True,
        ),
        Figure(
            "cache_origin_calls_too_early", sum(gap < SOFT_SECONDS for gap in gaps), "calls", 0, at_most=True
        ),
        Figure("cache_p99", _p99(answers) * 1000, "ms", 5, at_most=True),
        Figure("cache_failed", _failed(answers), "requests", 0, at_most=True),
    ]


async def _without_redis(servers: list[Server], redis: Redis, seconds: float) -> list[Figure]:
    await asyncio.to_thread(redis.pause)
    answers = await _load(servers, "/hot", seconds)
    await asyncio.to_thread(redis.resume)
    return [
        Figure("cache_redis_hung_p99", _p99(answers) * 1000, "ms", OPERATION_SECONDS * 1000, at_most=True),
        Figure("cache_redis_hung_slowest", max(it.seconds for it in answers) * 1000, "ms"),
        Figure("cache_redis_hung_failed", _failed(answers), "requests", 0, at_most=True),
    ]


async def _restarted(servers: list[Server], log: Path, before: int) -> Figure:
    """What was kept for an hour before: nobody may load it again."""
    await _load(servers, "/long", 1)
    return Figure(
        "cache_extra_origin_calls_of_a_restart", len(_calls(log, "long")) - before, "calls", 0, at_most=True
    )


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
