"""Clients that mean no good, and what a well-behaved one beside them notices.

Each attack ends when it is cut off or has done its worst, at the latest after a minute.
The same is done to a careful team's stack and to the tutorials'.

    python -m benchmarks.service hostile                 about 6 minutes
    python -m benchmarks.service hostile --stacks full   ours only, about 2 minutes

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path

import httpx

from benchmarks.figures import Figure, report
from benchmarks.service.openloop import OpenLoop
from benchmarks.service.processes import Server, free_port, machine, serve

OURS = "full"
STACKS = (OURS, "peer", "tutorial")
SLOW_CONNECTIONS = 300
PATHS = 100_000
FORGED_IDS = 5_000
HEADER_BYTES = 30 * 1024 * 1024
BODY_BYTES = 1024 * 1024 * 1024
_PIECE = b"x" * 0x10000
_MOST_SECONDS = 60.0
_HEALTHY_RATE = 50.0
OK = 200


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-hostile.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service hostile",
        description="Slow, huge and forged requests: latency of a healthy client, memory, series.",
        epilog="example: python -m benchmarks.service hostile --stacks full",
    )
    parser.add_argument("--stacks", nargs="+", choices=STACKS, default=STACKS, help="default: all of them")
    figures: list[Figure] = []
    for stack in parser.parse_args(argv).stacks:
        sys.stderr.write(f"{stack} …\n")
        admin = free_port()
        env = {"ADMIN_PORT": str(admin)}
        with serve(stack, stack, module="benchmarks.service.stacks", env=env) as server:
            metrics = admin if stack == OURS else server.port
            figures += asyncio.run(_measure(stack, server, metrics))
    return report("bench-service-hostile", figures, machine())


async def _measure(stack: str, server: Server, metrics: int) -> list[Figure]:
    name = "hostile" if stack == OURS else f"hostile_{stack}"
    goal = _goal if stack == OURS else _no_goal
    healthy = OpenLoop(server.port, "/items/7", timeout=5)
    await healthy.phase(_HEALTHY_RATE, 3)
    rss, series = _rss(server.pid), await _series(metrics)
    figures: list[Figure] = []
    most = 0
    for kind, attack in ATTACKS.items():
        attacking = asyncio.create_task(_bounded(attack(server.port)))
        seconds: list[float] = []
        failed = 0
        while not attacking.done():
            answers = await healthy.phase(_HEALTHY_RATE, 1)
            seconds += [it.seconds for it in answers]
            failed += sum(it.status != OK for it in answers)
            most = max(most, _rss(server.pid))
        await attacking
        p99 = sorted(seconds)[int(0.99 * len(seconds))]
        figures.append(Figure(f"{name}_{kind}_healthy_p99", p99, "s", goal(1), at_most=True))
        figures.append(Figure(f"{name}_{kind}_healthy_failed", failed, "requests", goal(0), at_most=True))
    grown = await _series(metrics) - series
    healthy.close()
    return [
        *figures,
        Figure(f"{name}_rss_growth", (most - rss) / 2**20, "MiB", goal(20), at_most=True),
        Figure(f"{name}_series_growth", grown, "series", goal(50), at_most=True),
    ]


def _goal(goal: float) -> float | None:
    return goal


def _no_goal(_goal: float) -> float | None:
    return None


async def _bounded(attack: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_MOST_SECONDS):
            await attack


async def slowloris(port: int) -> None:
    """Many connections that send a header block a byte at a time, until each is cut off."""
    await asyncio.gather(*(_dribble(port) for _ in range(SLOW_CONNECTIONS)))


async def huge_header(port: int) -> None:
    """One field of 30 MiB, on eight connections."""
    head = b"GET /items/7 HTTP/1.1\r\nHost: a\r\nX-Long: "
    await asyncio.gather(*(_pour(port, head, _PIECE, HEADER_BYTES) for _ in range(8)))


async def endless_body(port: int) -> None:
    """A chunked body of 1 GiB, or as much of it as is taken."""
    head = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    await _pour(port, head, b"10000\r\n" + _PIECE + b"\r\n", BODY_BYTES)


async def many_paths(port: int) -> None:
    """100,000 paths that do not exist, pipelined 50 at a time."""
    await _pipelined(port, [f"GET /no/{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(PATHS)])


async def forged_ids(port: int) -> None:
    """Request ids and traces that are none, as different as can be."""
    alphabet = "abc\"'{}<>;,\\ \t/=%"
    ids = ["".join(random.choices(alphabet, k=40)) for _ in range(FORGED_IDS)]  # noqa: S311  no secret
    head = "GET /items/7 HTTP/1.1\r\nHost: a\r\nX-Request-ID: {0}\r\ntraceparent: {0}\r\n\r\n"
    await _pipelined(port, [head.format(each) for each in ids])


ATTACKS: dict[str, Callable[[int], Coroutine[None, None, None]]] = {
    "slowloris": slowloris,
    "huge_header": huge_header,
    "endless_body": endless_body,
    "many_paths": many_paths,
    "forged_ids": forged_ids,
}


async def _dribble(port: int) -> None:
    async with _connected(port) as (_, writer):
        writer.write(b"GET /items/7 HTTP/1.1\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.5)


async def _pour(port: int, head: bytes, piece: bytes, total: int) -> None:
    async with _connected(port) as (reader, writer):
        writer.write(head)
        for _ in range(total // len(piece)):
            writer.write(piece)
            await writer.drain()
            if reader.at_eof():
                break


async def _pipelined(port: int, requests: list[str], depth: int = 50) -> None:
    async with _connected(port) as (reader, writer):
        for begin in range(0, len(requests), depth):
            batch = requests[begin : begin + depth]
            writer.write("".join(batch).encode())
            for _ in batch:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(
                    int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                )


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, until the server or the attack ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
        yield reader, writer


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


async def _series(admin: int) -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{admin}/metrics")).text
    return sum(not line.startswith("#") for line in text.splitlines())
