"""Random sequences: services made, edited, broken and deleted, their children too, the operator killed meanwhile.

    python -m e2e.faults.sequences --steps 1000 --seed 7

After every few steps all of it has to be what the specs come to. The same seed makes the same steps; a failure prints
those that led to it. Exit codes: 0 no wrong end state, 1 one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from e2e.cluster.providers import open_cluster
from e2e.faults.steps import Steps
from e2e.faults.world import World, world

EXAMPLE = 50
"""Steps in one namespace; then another one begins, beside the same operator."""
RESULTS = Path(__file__).parents[2] / "build" / "sequences.json"


@dataclass(frozen=True)
class Sequences:
    """What came of a run."""

    seed: int
    steps: int
    """That were made, and looked at."""
    kinds: dict[str, int]
    """How often which step."""
    wrong: int
    """End states other than what the specs come to. The first one ends the run."""


def run(made: World, counted: dict[str, int], *, steps: int, first_seed: int) -> None:
    """At least so many steps, counted by kind. Raises AssertionError, after printing them, for a wrong end state."""

    def done(what: str) -> None:
        print(f"{sum(counted.values())}/{steps} steps, {what}", flush=True)

    number = first_seed
    while (left := steps - sum(counted.values())) > 0:
        machine = type("Sequence", (Steps,), {"base": made, "counted": counted, "done": staticmethod(done)})
        # No shrinking by default: each try costs a minute on a real API server, and fifty steps can be read.
        chosen = settings(
            max_examples=-(-left // EXAMPLE), stateful_step_count=min(EXAMPLE, left) + 1, phases=[Phase.generate],
            deadline=None, database=None, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
        number += 1


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.faults.sequences", description="Random sequences against a real API server.",
        epilog="example: python -m e2e.faults.sequences --steps 1000 --seed 7",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args(argv)
    cluster = open_cluster("sequences", "api")
    cluster.create()
    counted: dict[str, int] = {}
    wrong = 1
    try:
        with world(cluster, {}) as made:
            run(made, counted, steps=chosen.steps, first_seed=chosen.seed)
        wrong = 0
    finally:
        cluster.delete()
        made_steps = sum(counted.values())
        RESULTS.parent.mkdir(exist_ok=True)
        result = Sequences(chosen.seed, made_steps, dict(sorted(counted.items())), wrong)
        RESULTS.write_text(json.dumps(asdict(result), indent=1) + "\n")
        word = "short" if wrong else "ok"
        print(f"sequence_wrong_end_states {wrong} of {made_steps} steps, seed {chosen.seed}, goal 0 {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
