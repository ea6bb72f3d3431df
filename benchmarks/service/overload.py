"""What comes of a service when twice and five times as much comes as it can serve.

One event loop on one processor; each request takes 4 ms of it and waits 20 ms. What it can at best is measured before
each overload and after it: the machine's own speed changes within a minute. Requests come evenly, whether or not
the last ones were answered; clients give up after 500 ms. Beside it: the same server without the limiter, a careful
team's stack, and the tutorials'.

Then the process is stopped for two seconds in the middle of five times the load, as a node does that has no time for
it: all callers give up and dial anew, and what they left behind must not keep it busy for ever.

    python -m benchmarks.service overload               about 11 minutes
    python -m benchmarks.service overload --seconds 3   quicker, less exact

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import uvloop

from benchmarks.figures import Figure, report
from benchmarks.service.load import closed_loop
from benchmarks.service.openloop import TIMED_OUT, Answer, OpenLoop
from benchmarks.service.processes import Server, go_first, machine, processors, serve

STACKS = ("limited", "unlimited", "peer", "tutorial")
ASKED = "limited"
STOPPED = "stopped"
_RUNS = 5  # of what is asked of ours: a machine of others' makes more difference than a goal leaves
CONNECTIONS = 400
OK = 200
SHED = 503
_CAPACITY_CONNECTIONS = 10  # enough to keep the processor busy: 28 ms a request, 4 of them on it
_RAMP_SECONDS = 2.0  # of an overload that does not count: the limit has to be found first
_STOP_SECONDS = 2.0
_AGAIN_SECONDS = 1.0  # after a stop, which do not count either
OVERLOADS = {
    "2x": (2, _RAMP_SECONDS),
    "5x": (5, _RAMP_SECONDS),
    STOPPED: (5, _RAMP_SECONDS + _STOP_SECONDS + _AGAIN_SECONDS),
}
"""By how much more comes than can be served, and the seconds that do not count; each meets a new process."""


@dataclass(frozen=True)
class Outcome:
    """One server's figures in one overload."""

    p99: float
    """Of the answers, by the p99 at half load."""
    refusal_p50: float
    """Milliseconds to a 503; 0 without any."""
    timeouts: int
    recovered: float
    """Seconds at half load until the last answer that was not one, or was slow."""
    metastable: bool
    """True when it still fails two seconds after the overload."""
    goodput: float = 0.0
    """Answers in time per second, by what the server can at best: measured before, and after if it recovered."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-overload.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service overload",
        description="Goodput, latency, refusals and recovery at 2 and 5 times of the capacity.",
        epilog="example: python -m benchmarks.service overload --seconds 3",
    )
    parser.add_argument("--seconds", type=float, default=8, help="of each overload (default 8)")
    seconds = parser.parse_args(argv).seconds
    if seconds < 2:
        parser.error(f"--seconds: {seconds} cannot be used: write 2 or more")
    go_first(0)
    figures: list[Figure] = []
    for stack in STACKS:
        for name in OVERLOADS:
            asked = stack == ASKED
            outcomes = [_run(stack, name, seconds) for _ in range(_RUNS if asked else 1)]
            figures += _figures(f"{stack}_{name}", outcomes, asked=asked)
    return report(
        "bench-service-overload", figures, {"seconds": seconds, "connections": CONNECTIONS, **machine()}
    )


def _run(stack: str, name: str, seconds: float) -> Outcome:
    server_cpu, client_cpu = processors()
    both = {cpu for cpu in (server_cpu, client_cpu) if cpu is not None} or {0}
    with serve(stack, stack, module="benchmarks.service.stacks", cpu=server_cpu) as server:
        go_first(server.pid)
        if client_cpu is not None:
            os.sched_setaffinity(0, {client_cpu})
        try:
            return uvloop.run(_measure(server, name, *OVERLOADS[name], seconds))
        finally:
            os.sched_setaffinity(0, both)


async def _measure(server: Server, name: str, factor: int, begin: float, seconds: float) -> Outcome:
    port = server.port
    rates = await _rates(port)
    capacity = statistics.median(rates)
    clients = OpenLoop(port, "/work")
    await clients.preopen(CONNECTIONS)
    calm = await clients.phase(capacity / 2, 4)
    unloaded = _quantile([it.seconds for it in calm if it.status == OK], 0.99)
    sys.stderr.write(f"{name}: capacity {capacity:.0f}/s, p99 at half of it {unloaded * 1000:.0f} ms\n")
    load = clients.phase(capacity * factor, begin + seconds)
    if name == STOPPED:
        answers, _ = await asyncio.gather(load, _stop(server.pid))
    else:
        answers = await load
    after = await clients.phase(capacity / 2, 4)
    clients.close()
    counted = [it for it in answers if it.due >= begin]
    outcome = _outcome(counted, after, unloaded=unloaded)
    if not outcome.metastable:  # else it is still busy with what nobody waits for
        rates += await _rates(port)
    goodput = sum(it.status == OK for it in counted) / seconds / statistics.median(rates)
    return replace(outcome, goodput=goodput)


async def _stop(pid: int) -> None:
    await asyncio.sleep(_RAMP_SECONDS)
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(_STOP_SECONDS)
    os.kill(pid, signal.SIGCONT)


async def _rates(port: int) -> list[float]:
    """Requests per second with just enough of them at once, a few times."""
    loop = asyncio.get_running_loop()
    rates = []
    for _ in range(3):
        begun = loop.time()
        statuses = await closed_loop(port, "/work", connections=_CAPACITY_CONNECTIONS, requests=400)
        rates.append(statuses[OK] / (loop.time() - begun))  # a refusal is no capacity
    return rates


def _outcome(counted: list[Answer], after: list[Answer], *, unloaded: float) -> Outcome:
    served = [it.seconds for it in counted if it.status == OK]
    refused = [it.seconds for it in counted if it.status == SHED]
    bad = [it.due for it in after if it.status != OK or it.seconds > 3 * unloaded]
    late = [it for it in after if it.due >= 2]
    return Outcome(
        p99=_quantile(served, 0.99) / unloaded if served else float("inf"),
        refusal_p50=statistics.median(refused) * 1000 if refused else 0.0,
        timeouts=sum(it.status == TIMED_OUT for it in counted),
        recovered=max(bad, default=0.0),
        metastable=sum(it.status != OK for it in late) > len(late) / 100,
    )


def _figures(name: str, outcomes: list[Outcome], *, asked: bool) -> list[Figure]:
    """Of several runs the median where the machine has its say, and the worst of what must never be."""
    rows: list[tuple[str, float, str, float, bool]] = [
        ("goodput", statistics.median(it.goodput for it in outcomes), "of_capacity", 0.95, False),
        ("timeouts", max(it.timeouts for it in outcomes), "requests", 0, True),
        ("recovered", max(it.recovered for it in outcomes), "s", 1, True),
        ("metastable", sum(it.metastable for it in outcomes), "runs", 0, True),
    ]
    if asked:
        rows[1:1] = [
            ("p99", statistics.median(it.p99 for it in outcomes), "of_unloaded", 3, True),
            ("refusal_p50", statistics.median(it.refusal_p50 for it in outcomes), "ms", 30, True),
        ]
    return [
        Figure(f"overload_{name}_{figure}", value, unit, goal if asked else None, at_most=at_most)
        for figure, value, unit, goal, at_most in rows
    ]


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
