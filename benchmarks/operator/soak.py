"""Half an hour of churn: services are edited, broken, deleted and made anew. Memory has to stay where it is.

    python -m benchmarks.operator.soak                       500 services, 20 minutes to settle, then 30 minutes
    python -m benchmarks.operator.soak --relist 600          with lists of everything as seldom as in an installation

Exit codes: 0 every goal reached, 1 one was missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.document import rewrite
from benchmarks.figures import BUILD, Figure, report
from benchmarks.operator.entry import widen

widen()  # before the modules below copy the list of children

from benchmarks.operator import world  # noqa: E402 - see above
from benchmarks.operator.growth import slope  # noqa: E402 - see above
from benchmarks.operator.measure import cpu_seconds, resident_mb  # noqa: E402 - see above
from benchmarks.operator.plots import soak_plot  # noqa: E402 - see above
from benchmarks.operator.scenarios import Bench  # noqa: E402 - see above
from productionservice.engine.answers import NotFound  # noqa: E402 - see above
from productionservice.engine.caches import RESOURCES  # noqa: E402 - see above
from productionservice.engine.client import Client  # noqa: E402 - see above

CHURN_SECONDS = 0.5
"""Between two steps: some 3,600 in half an hour."""
SAMPLE_SECONDS = 5.0
RELIST_SECONDS = 60.0
"""Between two lists of everything, ten times as often as the operator does by itself: half an hour has the lists of
five. A list is what memory peaks at, and the highest of the peaks leaves its pages with the allocators; with few lists
it may come late, and looks like growth."""
SETTLING_MINUTES = 20.0
"""At the beginning, twice as many steps, and not counted: each service has been edited several times by then, what is
remembered of events is full, and the allocators have had their peaks."""
FLOOR_MINUTES = 2.0
"""Of so long the least counts: what is kept, without what lists and edits need for a moment."""
GROWTH_MB_PER_HOUR = 4.0
"""What the trend of the floor may be. Steps of the allocators are of 1 MB, so twenty minutes tell no less."""


@dataclass
class Churn:
    """Steps on the services of one run, and what the operator's process was meanwhile."""

    bench: Bench
    made: Client
    dice: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311 - dice, no secret
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Minutes since the start, and MB."""
    steps: int = 0

    async def run(self, settling: float, minutes: float) -> None:
        """Step and sample for so long, and before that, for `settling` minutes, step twice as often."""
        started = time.monotonic()
        while (passed := (time.monotonic() - started) / 60) < settling + minutes:
            if not self.samples or passed - self.samples[-1][0] > SAMPLE_SECONDS / 60:
                self.samples.append((passed, resident_mb(self.bench.operator.pid)))
            await self._step()
            await asyncio.sleep(CHURN_SECONDS / 2 if passed < settling else CHURN_SECONDS)

    async def _step(self) -> None:
        name = self.dice.choice(self.bench.names)
        self.steps += 1
        match self.dice.randrange(8):
            case 0:
                await self._delete(name)
                await self.made.post(world.SERVICES, "shop", world.service(name))
            case 1 | 2:
                broken = {"spec": {"selector": {"x": "y"}}}
                with contextlib.suppress(NotFound):  # of a service that was made a moment ago
                    await self.made.merge(RESOURCES["Service"], "shop", name, broken, manager="user")
            case _:
                edit = {"spec": {"shutdown": {"drainSeconds": 21 + self.steps % 30}}}
                await self.made.merge(world.SERVICES, "shop", name, edit, manager="user")

    async def _delete(self, name: str) -> None:
        found = await self.made.get(world.SERVICES, "shop", name)
        await self.made.delete(world.SERVICES, "shop", name, uid=found["metadata"]["uid"])


def floors(samples: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of each whole FLOOR_MINUTES the middle, and the least that was sampled in it."""
    spans: dict[int, list[float]] = {}
    for minute, mb in samples:
        spans.setdefault(int(minute // FLOOR_MINUTES), []).append(mb)
    return [((span + 0.5) * FLOOR_MINUTES, min(found)) for span, found in sorted(spans.items())]


async def soak(
    services: int, settling: float, minutes: float, relist: float
) -> tuple[list[Figure], list[tuple[float, float]]]:
    """One run; figures and samples. Everything is listed anew each `relist` seconds."""
    with world.bench_cluster("soak", controllers=True) as cluster, tempfile.TemporaryDirectory() as folder:
        bench = Bench(cluster, Path(folder), services, 0)
        bench.operator.settings["RELIST_SECONDS"] = f"{relist:g}"
        async with world.client(cluster) as made:
            await world.create_services(made, bench.names)
            bench.operator.start()
            try:
                await world.converged(made, services)
                before = cpu_seconds(bench.operator.pid)
                churn = Churn(bench, made)
                await churn.run(settling, minutes)
                cpu = cpu_seconds(bench.operator.pid) - before
                await world.converged(made, services, within=600)
            finally:
                bench.operator.kill()
    settled = [sample for sample in churn.samples if sample[0] > settling]
    per_minute, _ = slope(floors(settled))
    figures = [
        Figure("soak_steps", churn.steps, "steps"),
        Figure("soak_rss_at_the_end", settled[-1][1], "MB"),
        Figure("soak_rss_range", max(mb for _, mb in settled) - min(mb for _, mb in settled), "MB"),
        Figure("soak_rss_floor_trend", per_minute * 60, "MB/h", GROWTH_MB_PER_HOUR, at_most=True),
        Figure("soak_cpu_per_step", cpu / churn.steps * 1e3, "ms"),
    ]
    return figures, churn.samples


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, plot."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operator.soak", description="Memory over half an hour of churn.",
        epilog="example: python -m benchmarks.operator.soak --settling 5 --minutes 10",
    )  # fmt: skip
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--settling", type=float, default=SETTLING_MINUTES, help="minutes that do not count")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--relist", type=float, default=RELIST_SECONDS, help="seconds between two lists of everything"
    )
    parser.add_argument("--write", action="store_true", help="put figures and plot into docs/performance.md")
    chosen = parser.parse_args(argv)
    figures, samples = asyncio.run(soak(chosen.services, chosen.settling, chosen.minutes, chosen.relist))
    conditions = {"services": chosen.services, "children": world.CHILDREN, "relist": f"{chosen.relist:g}"}
    conditions |= {"settling": f"{chosen.settling:g}", "minutes": f"{chosen.minutes:g}"}
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench-operator-soak-samples.json").write_text(json.dumps(samples))
    if chosen.write:
        soak_plot([minute for minute, _ in samples], [mb for _, mb in samples], chosen.settling)
        rewrite("operator-soak", "make bench-operator-soak", figures, conditions)
    return report("bench-operator-soak", figures, dict(conditions))


if __name__ == "__main__":
    sys.exit(main())
