"""Clients that mean no good, and what a well-behaved one beside them notices.

    python -m benchmarks.service hostile    about a minute

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import httpx

from benchmarks.figures import Figure, report
from benchmarks.service.openloop import OpenLoop
from benchmarks.service.processes import free_port, machine, serve

SLOW_CONNECTIONS = 300
PATHS = 100_000
FORGED_IDS = 5_000
HEADER_BYTES = 30 * 1024 * 1024
BODY_BYTES = 1024 * 1024 * 1024
_PIECE = b"x" * 0x10000
_MOST_SECONDS = 120.0
_HEALTHY_RATE = 50.0
OK = 200


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-hostile.json`."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.service hostile",
        description="Slow, huge and forged requests: latency of a healthy client, memory, series.",
        epilog="example: python -m benchmarks.service hostile",
    ).parse_args(argv)
    admin = free_port()
    with serve("full", "full", module="benchmarks.service.stacks", env={"ADMIN_PORT": str(admin)}) as server:
        figures = asyncio.run(_measure(server.port, admin, server.pid))
    return report("bench-service-hostile", figures, machine())


async def _measure(port: int, admin: int, pid: int) -> list[Figure]:
    healthy = OpenLoop(port, "/items/7", timeout=5)
    await healthy.phase(_HEALTHY_RATE, 3)
    rss, series = _rss(pid), await _series(admin)
    figures: list[Figure] = []
    for name, attack in ATTACKS.items():
        attacking = asyncio.create_task(attack(port))
        seconds: list[float] = []
        failed = 0
        async with asyncio.timeout(_MOST_SECONDS):
            while not attacking.done():
                answers = await healthy.phase(_HEALTHY_RATE, 1)
                seconds += [it.seconds for it in answers]
                failed += sum(it.status != OK for it in answers)
        await attacking
        p99 = sorted(seconds)[int(0.99 * len(seconds))]
        figures.append(Figure(f"hostile_{name}_healthy_p99", p99, "s", 1, at_most=True))
        figures.append(Figure(f"hostile_{name}_healthy_failed", failed, "requests", 0, at_most=True))
    grown = await _series(admin) - series
    healthy.close()
    return [
        *figures,
        Figure("hostile_rss_growth", (_rss(pid) - rss) / 2**20, "MiB", 20, at_most=True),
        Figure("hostile_series_growth", grown, "series", 50, at_most=True),
    ]


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
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        writer.write(b"GET /items/7 HTTP/1.1\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.5)
    writer.close()


async def _pour(port: int, head: bytes, piece: bytes, total: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        writer.write(head)
        for _ in range(total // len(piece)):
            writer.write(piece)
            await writer.drain()
            if reader.at_eof():
                break
    writer.close()


async def _pipelined(port: int, requests: list[str], depth: int = 50) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for begin in range(0, len(requests), depth):
        batch = requests[begin : begin + depth]
        writer.write("".join(batch).encode())
        for _ in batch:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(
                int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            )
    writer.close()


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


async def _series(admin: int) -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{admin}/metrics")).text
    return sum(not line.startswith("#") for line in text.splitlines())
