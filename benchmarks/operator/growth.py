"""Does a service cost the same whether there are a hundred or five thousand? And how much memory does a child keep?

    python -m benchmarks.operator.growth                     100 to 5,000 services, some 12 minutes
    python -m benchmarks.operator.growth --sizes 50 100 200

Each size has a cluster of its own. What a start costs without any service is taken off. Exit codes: 0 every goal
reached, 1 one was missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.document import rewrite
from benchmarks.figures import Figure, report
from benchmarks.operator.entry import widen

widen()  # before the modules below copy the list of children

from benchmarks.operator import world  # noqa: E402 - see above
from benchmarks.operator.measure import cpu_seconds, resident_mb  # noqa: E402 - see above
from benchmarks.operator.plots import growth_plot  # noqa: E402 - see above
from benchmarks.operator.scenarios import Bench, raw_rate  # noqa: E402 - see above

SIZES = (100, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Point:
    """One size."""

    services: int
    cpu_ms: float
    """Of the operator, for each service."""
    wall_of_raw: float
    """Wall time by what a bare loop takes for as many writes of the same bodies beside it."""
    rss_mb: float


async def measure(services: int) -> Point:
    """Make so many services from nothing."""
    with world.bench_cluster(f"growth-{services}") as cluster, tempfile.TemporaryDirectory() as folder:
        bench = Bench(cluster, Path(folder), services, 0)
        async with world.client(cluster) as made:
            bench.operator.start()
            await asyncio.sleep(2)
            empty = cpu_seconds(bench.operator.pid)
            bench.operator.kill()
            await world.create_services(made, bench.names)
            tail = bench.tail()
            bench.operator.start()
            try:
                await world.converged(made, services)
                cpu = cpu_seconds(bench.operator.pid)
                await asyncio.sleep(12)  # memory is given back some seconds after the lists
                writes = [r for r in tail.read() if r.ours and (r.writes or r.tells)]
                rate = len(writes) / (max(r.answered for r in writes) - min(r.received for r in writes))
                raw = await raw_rate(bench, made, "raw")
                return Point(
                    services, (cpu - empty) / services * 1e3, raw / rate, resident_mb(bench.operator.pid)
                )
            finally:
                bench.operator.kill()


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The straight line with the least squares: how much y grows for each x, and y at 0."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    steep = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return steep, mean_y - steep * mean_x


def figures_of(points: Sequence[Point]) -> list[Figure]:
    """The figures, and how far the dearest size is from the mean."""
    mean = sum(p.cpu_ms for p in points) / len(points)
    per_child, _ = slope([(p.services * world.CHILDREN, p.rss_mb * 1e3) for p in points])
    return [
        *(Figure(f"cpu_per_service_at_{p.services}", p.cpu_ms, "ms") for p in points),
        *(Figure(f"wall_of_raw_at_{p.services}", p.wall_of_raw, "ratio") for p in points),
        *(Figure(f"rss_at_{p.services}", p.rss_mb, "MB") for p in points),
        Figure(
            "cpu_per_service_off_the_mean",
            max(abs(p.cpu_ms / mean - 1) for p in points),
            "ratio",
            0.2,
            at_most=True,
        ),
        Figure("rss_per_further_child", per_child, "kB", 2.5, at_most=True),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each size, print, plot."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operator.growth", description="Cost by number of services.",
        epilog="example: python -m benchmarks.operator.growth --sizes 100 500 1000",
    )  # fmt: skip
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--write", action="store_true", help="put figures and plot into docs/performance.md")
    chosen = parser.parse_args(argv)
    points = []
    for size in chosen.sizes:
        print(f"── {size} services …", flush=True)
        points.append(asyncio.run(measure(size)))
        print(f"   {points[-1]}", flush=True)
    figures, conditions = figures_of(points), {"children": world.CHILDREN}
    if chosen.write:
        growth_plot([asdict(point) for point in points], world.CHILDREN)
        rewrite("operator-growth", "make bench-operator-growth", figures, conditions)
    return report("bench-operator-growth", figures, dict(conditions))


if __name__ == "__main__":
    sys.exit(main())
