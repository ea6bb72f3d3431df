"""Processes replaced under load: how many requests get no proper answer.

Eight kinds of clients (see `tests/service/prodkit/test_replacement.py`), with 0, 2 and 10 ms between the check that a
connection is usable and the write on it. Established connections stay with their process, new ones follow a list
that loses a leaving process half a second after its SIGTERM: what kube-proxy does. The anchor is stock uvicorn.
The same goes through nginx and haproxy, which are told half a second after the SIGTERM too. nginx is told by a reload,
which ends connections of its clients: as many reloads with nobody leaving are the measure of that.

    python -m benchmarks.service drain                     51 replacements, and 51 behind each proxy, about 10 minutes
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
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.figures import Figure, report
from benchmarks.service.processes import ROOT, free_port, machine
from benchmarks.service.proxies import Proxy, proxy
from tests.service.clients import Address
from tests.service.eight_kinds import CONNECTIONS, Answers, start_clients

RTTS = (0.0, 0.002, 0.01)
PROPAGATION = 0.5
_ANCHOR_SHARE = 5  # stock uvicorn is replaced so many times less often: its failures are many
PROXIES = ("nginx", "haproxy")
RELOADS = "nginx that only reloads"
_ENDED_BY_RELOAD = ("closed without a response", "pipelined unanswered", "reset")
"""What a client sees that sends on a connection just when nginx closes it; a lost answer of ours would be a 502, or
half a response."""
_EXIT_SECONDS = 12.0
ENV = {
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_PROPAGATION_SECONDS": str(PROPAGATION),
    "SERVICE_QUIET_SECONDS": "0.6",
    "SERVICE_DRAIN_SECONDS": "8",
    "SERVICE_ACCESS_LOG": "false",
}


@dataclass
class Tally(Answers):
    """What came of all requests, and how the processes left."""

    exits: list[float] = field(default_factory=list)
    codes: collections.Counter[int] = field(default_factory=collections.Counter)


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
    ours, stock, behind = asyncio.run(_measure(replacements))
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
    for kind, tally in behind.items():
        sys.stderr.write(f"behind {kind} {dict(tally.answers)}\n")
        if tally.exits:
            figures += _figures_behind(kind, tally)
        else:
            figures.append(Figure("drain_nginx_ended_by_reloads_alone", tally.failures, "requests"))
    return report(
        "bench-service-drain",
        figures,
        {"connections": CONNECTIONS, "rtt_ms": [it * 1000 for it in RTTS], **machine()},
    )


def _figures_behind(kind: str, tally: Tally) -> list[Figure]:
    """nginx's reload ends connections of its clients, also with a request behind the last answer: told apart."""
    reload = sum(tally.answers[it] for it in _ENDED_BY_RELOAD) if kind == "nginx" else 0
    figures = [
        Figure(f"drain_{kind}_failures", tally.failures - reload, "requests", 0, at_most=True),
        Figure(f"drain_{kind}_refused_by_limiter", tally.refused, "requests", 0, at_most=True),
        Figure(f"drain_{kind}_cut_short", tally.cut_short, "requests", 0, at_most=True),
        Figure(f"drain_{kind}_requests", tally.answers.total(), "requests"),
        Figure(f"drain_{kind}_replacements", len(tally.exits), "replacements"),
    ]
    if kind == "nginx":
        figures.append(Figure("drain_nginx_ended_by_its_reload", reload, "requests"))
    return figures


async def _measure(replacements: int) -> tuple[Tally, Tally, dict[str, Tally]]:
    ours, stock = Tally(), Tally()
    each = replacements // len(RTTS)
    for rtt in RTTS:
        await _replace(("-m", "tests.service.drain_app"), each, rtt, ours)
        await _replace(("-m", "benchmarks.service.stock"), max(1, each // _ANCHOR_SHARE), rtt, stock)
    behind = {kind: Tally() for kind in (*PROXIES, RELOADS)}
    for (kind, tally), rtt in itertools.product(behind.items(), RTTS):
        await _replace_behind(kind, each, rtt, tally)
    return ours, stock, behind


async def _replace(command: tuple[str, ...], replacements: int, rtt: float, tally: Tally) -> None:
    endpoints: list[Address] = []
    turn = itertools.count()
    stop = asyncio.Event()

    def pick() -> Address:
        return endpoints[next(turn) % len(endpoints)]

    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        process, address = await stack.enter_async_context(_process(command))
        endpoints.append(address)
        results = start_clients(group.create_task, pick, rtt, stop)
        for number in range(replacements):
            following, address = await stack.enter_async_context(_process(command))
            endpoints.append(address)
            await _leave(process, lambda: endpoints.pop(0), tally)
            process = following
            sys.stderr.write(
                f"\r{command[1]} rtt {rtt * 1000:g} ms: {number + 1} of {replacements} replaced  "
            )
        stop.set()
    sys.stderr.write("\n")
    tally.answers.update(itertools.chain.from_iterable(results.values()))


async def _replace_behind(kind: str, replacements: int, rtt: float, tally: Tally) -> None:
    """Two addresses in turn: the next process serves on one before that on the other leaves.

    With `RELOADS` nginx is told the same as often, of an address that nobody uses, and nobody leaves.
    """
    command = ("-m", "tests.service.drain_app")
    ports = (free_port(), free_port())
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        process, _ = await stack.enter_async_context(_process(command, ports[0]))
        front = stack.enter_context(proxy("nginx" if kind == RELOADS else kind, ports))
        front.leave(ports[1])
        results = start_clients(group.create_task, lambda: ("127.0.0.1", front.port), rtt, stop)
        for number in range(replacements):
            if kind == RELOADS:
                await _reload_twice(front, ports[1])
                continue
            leaving, next_port = ports[number % 2], ports[(number + 1) % 2]
            following, _ = await stack.enter_async_context(_process(command, next_port))
            front.join(next_port)
            await _leave(process, partial(front.leave, leaving), tally)
            process = following
            progress = f"{number + 1} of {replacements} replaced"
            sys.stderr.write(f"\rbehind {kind} rtt {rtt * 1000:g} ms: {progress}  ")
        stop.set()
    sys.stderr.write("\n")
    tally.answers.update(itertools.chain.from_iterable(results.values()))


async def _reload_twice(front: Proxy, unused: int) -> None:
    """In the rhythm of a replacement."""
    await asyncio.sleep(2 * PROPAGATION)
    front.leave(unused)
    await asyncio.sleep(2 * PROPAGATION)
    front.leave(unused)


async def _leave(process: asyncio.subprocess.Process, forget: Callable[[], object], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(PROPAGATION)
    forget()
    try:
        async with asyncio.timeout(_EXIT_SECONDS - PROPAGATION):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    tally.exits.append(loop.time() - begun)
    tally.codes[code] += 1


@contextlib.asynccontextmanager
async def _process(
    command: tuple[str, ...], port: int = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Address]]:
    port = port or free_port()
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
