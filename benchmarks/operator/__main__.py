"""The operator's figures, on a real API server without controllers.

    python -m benchmarks.operator                            2,000 services of 15 children, some 8 minutes
    python -m benchmarks.operator --services 200 --only cold no_change

Exit codes: 0 every goal reached, 1 one was missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.document import rewrite
from benchmarks.operator import world
from benchmarks.operator.entry import widen

widen()  # before the modules below copy the list of children

from benchmarks.figures import Figure, report  # noqa: E402 - see above
from benchmarks.operator import scenarios  # noqa: E402 - see above
from benchmarks.operator.anchor import anchor  # noqa: E402 - see above
from benchmarks.operator.plots import latency_plot  # noqa: E402 - see above
from benchmarks.operator.scenarios import Bench  # noqa: E402 - see above

SCENARIOS = ("cold", "no_change", "restart", "edit", "drift", "leader", "anchor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen scenarios in their order; `cold` always runs, for the others need its services."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operator", description="The operator's speed and size.",
        epilog="example: python -m benchmarks.operator --services 200 --only cold restart",
    )  # fmt: skip
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--edits", type=int, default=100, help="edits and drifts to react to")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    chosen = parser.parse_args(argv)
    with world.bench_cluster() as cluster, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(cluster, Path(folder), chosen.services, chosen.edits)
        try:
            figures = asyncio.run(_run(bench, chosen.only))
        finally:
            bench.operator.kill()
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    conditions = {"services": chosen.services, "children": world.CHILDREN, **machine}
    if chosen.write:
        if bench.reactions:
            latency_plot(bench.reactions, scenarios.REACTION_GOALS)
        rewrite("operator", "make bench-operator", figures, conditions)
    return report("bench-operator", figures, conditions)


async def _run(bench: Bench, only: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    async with world.client(bench.cluster) as made:
        for name in SCENARIOS:
            if name != "cold" and name not in only:
                continue
            print(f"── {name} …", flush=True)
            found = await (anchor if name == "anchor" else getattr(scenarios, name))(bench, made)
            for figure in found:
                print(f"   {figure.line()}", flush=True)
            figures += found
    return figures


if __name__ == "__main__":
    sys.exit(main())
