"""What production costs: processor time per request of the full stack against bare FastAPI.

All stacks run at once on the same processor and take turns of a few thousand requests, so that what else the
machine does hits them alike; each round gives one ratio, and the median of the ratios is the figure.

    python -m benchmarks.service tax              about a minute
    python -m benchmarks.service tax --rounds 5   quicker, less exact

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import uvloop

from benchmarks.figures import Figure, report
from benchmarks.service.load import closed_loop
from benchmarks.service.processes import Server, machine, processors, serve

STACKS = ("bare", "full", "full_traced_10", "full_traced_100", "peer", "tutorial")
CONNECTIONS = 32
REQUESTS = {"peer": 1500, "tutorial": 500}
"""Per turn, where not 3,000: these take longer for each."""
GOALS: dict[str, float | None] = {
    "full": 0.85,
    "full_traced_10": 0.75,
    "full_traced_100": 0.50,
    "peer": None,
    "tutorial": None,
}
MODULE = "benchmarks.service.stacks"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-tax.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service tax",
        description="Processor time per request: bare FastAPI, the full stack, what tutorials build.",
        epilog="example: python -m benchmarks.service tax --rounds 5",
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each stack (default 15)")
    rounds = parser.parse_args(argv).rounds
    if rounds < 1:
        parser.error(f"--rounds: {rounds} cannot be used: write 1 or more")
    server_cpu, client_cpu = processors()
    with ExitStack() as stack:
        receiver = stack.enter_context(serve("receiver", "receiver", module=MODULE, cpu=client_cpu))
        env = {"RECEIVER": f"http://127.0.0.1:{receiver.port}"}
        servers = [
            stack.enter_context(serve(name, name, module=MODULE, cpu=server_cpu, env=env)) for name in STACKS
        ]
        if client_cpu is not None:
            os.sched_setaffinity(0, {client_cpu})
        costs = uvloop.run(_measure(servers, rounds))
    return report(
        "bench-service-tax", _figures(costs), {"rounds": rounds, "connections": CONNECTIONS, **machine()}
    )


async def _measure(servers: Sequence[Server], rounds: int) -> dict[str, list[float]]:
    """Microseconds per request, a value for each round. The first round warms up and does not count."""
    costs: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(rounds + 1):
        first = number % len(servers)  # nobody is always the one who comes after the slowest
        for server in (*servers[first:], *servers[:first]):
            cost = await _turn(server)
            if number:
                costs[server.name].append(cost)
        sys.stderr.write(f"\rround {number} of {rounds}")
    sys.stderr.write("\n")
    return costs


async def _turn(server: Server) -> float:
    requests = REQUESTS.get(server.name, 3000)
    before = server.cpu_ns()
    statuses = await closed_loop(server.port, "/items/7", connections=CONNECTIONS, requests=requests)
    cost = (server.cpu_ns() - before) / requests / 1000
    if statuses != {200: requests}:
        raise SystemExit(f"error: the stack {server.name!r} answered {dict(statuses)}: only 200 may come")
    return cost


def _figures(costs: dict[str, list[float]]) -> list[Figure]:
    figures = [Figure(f"cpu_{name}", statistics.median(costs[name]), "us/request") for name in STACKS]
    for name, goal in GOALS.items():
        ratios = [bare / other for bare, other in zip(costs["bare"], costs[name], strict=True)]
        figures.append(Figure(f"cpu_ratio_{name}", statistics.median(ratios), "of_bare", goal))
    return figures
