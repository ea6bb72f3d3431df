"""Processes replaced under load: how many requests get no proper answer.

Eight kinds of clients (see `tests/service/prodkit/test_replacement.py`), with 0, 2 and 10 ms between the check that a
connection is usable and the write on it. Established connections stay with their process, new ones follow a list
that loses a leaving process half a second after its SIGTERM: what kube-proxy does. The anchor is stock uvicorn.

    python -m benchmarks.service drain                     50 replacements, about 5 minutes
    python -m benchmarks.service drain --replacements 6    quicker, says less

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, report
from benchmarks.service.processes import ROOT, free_port, machine
from tests.service.clients import Address, keep_alive_client, request

RTTS = (0.0, 0.002, 0.01)
PROPAGATION = 0.5
CONNECTIONS = 204
_ANCHOR_SHARE = 5  # stock uvicorn is replaced so many times less often: its failures are many
_EXIT_SECONDS = 12.0
_LIMITED = "status 503 too many requests at once"
CLOSE = "Connection: close\r\n"
KINDS: dict[str, tuple[bytes, int, float, int]] = {
    "get": (request("/fast"), 1, 0.15, 26),
    "post": (request("/echo", method="POST", body=b"x" * 2000), 1, 0.15, 26),
    "20 ms": (request("/sleep/0.02"), 1, 0.15, 26),
    "slow": (request("/sleep/0.8"), 1, 0.0, 26),
    "stream": (request("/stream/0.8"), 1, 0.0, 26),
    "pipelined": (request("/fast") * 4, 4, 0.25, 24),
    "one per connection": (request("/fast", headers=CLOSE), 1, 0.25, 24),
    "mostly idle": (request("/fast"), 1, 0.9, 26),
}
"""Kind → (bytes, requests in them, pause between two, connections)."""
ENV = {
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_PROPAGATION_SECONDS": str(PROPAGATION),
    "SERVICE_QUIET_SECONDS": "0.6",
    "SERVICE_DRAIN_SECONDS": "8",
    "SERVICE_ACCESS_LOG": "false",
}


@dataclass
class Tally:
    """What came of all requests, and how the processes left."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    exits: list[float] = field(default_factory=list)
    codes: collections.Counter[int] = field(default_factory=collections.Counter)

    @property
    def refused(self) -> int:
        """Requests that the overload limit answered with 503: too much for this machine, but no loss."""
        return sum(count for answer, count in self.answers.items() if answer.startswith(_LIMITED))

    @property
    def cut_short(self) -> int:
        """Requests that got 503 because the drain had no more time for them."""
        return (
            sum(count for answer, count in self.answers.items() if answer.startswith("status 503"))
            - self.refused
        )

    @property
    def failures(self) -> int:
        """Requests without a proper answer: reset, closed, half, refused by the kernel, or never answered."""
        return self.answers.total() - self.answers["ok"] - self.refused - self.cut_short


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-drain.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service drain",
        description="Failed requests while processes are replaced under 200 connections of eight kinds.",
        epilog="example: python -m benchmarks.service drain --replacements 6",
    )
    parser.add_argument("--replacements", type=int, default=51, help="over all round-trip times (default 51)")
    replacements = parser.parse_args(argv).replacements
    if replacements < len(RTTS):
        parser.error(f"--replacements: {replacements} cannot be used: write {len(RTTS)} or more")
    ours, stock = asyncio.run(_measure(replacements))
    sys.stderr.write(f"prodkit {dict(ours.answers)}\nstock uvicorn {dict(stock.answers)}\n")
    figures = [
        Figure("drain_failures", ours.failures, "requests", 0, at_most=True),
        Figure("drain_refused_by_limiter", ours.refused, "requests", 0, at_most=True),
        Figure("drain_cut_short", ours.cut_short, "requests", 0, at_most=True),
        Figure("drain_requests", ours.answers.total(), "requests"),
        Figure("drain_replacements", len(ours.exits), "replacements"),
        Figure("drain_exit_slowest", max(ours.exits), "s", _EXIT_SECONDS - 1, at_most=True),
        Figure("drain_exit_code_not_0", len(ours.exits) - ours.codes[0], "processes", 0, at_most=True),
        Figure("drain_stock_failures_per_replacement", stock.failures / len(stock.exits), "requests"),
        Figure("drain_stock_requests", stock.answers.total(), "requests"),
    ]
    return report(
        "bench-service-drain",
        figures,
        {"connections": CONNECTIONS, "rtt_ms": [it * 1000 for it in RTTS], **machine()},
    )


async def _measure(replacements: int) -> tuple[Tally, Tally]:
    ours, stock = Tally(), Tally()
    each = replacements // len(RTTS)
    for rtt in RTTS:
        await _replace(("-m", "tests.service.drain_app"), each, rtt, ours)
        await _replace(("-m", "benchmarks.service.stock"), max(1, each // _ANCHOR_SHARE), rtt, stock)
    return ours, stock


async def _replace(command: tuple[str, ...], replacements: int, rtt: float, tally: Tally) -> None:
    endpoints: list[Address] = []
    turn = itertools.count()
    results: list[str] = []
    stop = asyncio.Event()

    def pick() -> Address:
        return endpoints[next(turn) % len(endpoints)]

    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        process, address = await stack.enter_async_context(_process(command))
        endpoints.append(address)
        for batch, depth, pause, count in KINDS.values():
            for _ in range(count):
                client = keep_alive_client(
                    pick, batch, depth=depth, pause=pause, rtt=rtt, results=results, stop=stop
                )
                group.create_task(client)
        for number in range(replacements):
            following, address = await stack.enter_async_context(_process(command))
            endpoints.append(address)
            await _leave(process, endpoints, tally)
            process = following
            sys.stderr.write(
                f"\r{command[1]} rtt {rtt * 1000:g} ms: {number + 1} of {replacements} replaced  "
            )
        stop.set()
    sys.stderr.write("\n")
    tally.answers.update(results)


async def _leave(process: asyncio.subprocess.Process, endpoints: list[Address], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(PROPAGATION)
    endpoints.pop(0)
    try:
        async with asyncio.timeout(_EXIT_SECONDS - PROPAGATION):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    tally.exits.append(loop.time() - begun)
    tally.codes[code] += 1


@contextlib.asynccontextmanager
async def _process(command: tuple[str, ...]) -> AsyncIterator[tuple[asyncio.subprocess.Process, Address]]:
    port = free_port()
    env = ENV | {
        "SERVICE_PORT": str(port),
        "PYTHONPATH": f"{ROOT / 'service'}:{ROOT}",
        "PATH": "/usr/bin:/bin",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=env,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _until_open(process, port)
        yield process, ("127.0.0.1", port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_open(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            if process.returncode is not None:
                raise SystemExit(
                    f"error: the server left with {process.returncode}: start it by hand to see why"
                )
            await asyncio.sleep(0.05)
