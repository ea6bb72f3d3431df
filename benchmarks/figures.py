"""How a benchmark ends: one line a figure, and the same as JSON under `build/`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"


@dataclass(frozen=True)
class Figure:
    """One measured number. `goal` None means that nothing is asked of it; `at_most` turns the goal around."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """True when the value is on the right side of the goal, or has none."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def line(self) -> str:
        """`NAME VALUE UNIT goal GOAL ok|short`."""
        goal = "-" if self.goal is None else f"{'<=' if self.at_most else '>='}{self.goal:g}"
        return f"{self.name} {self.value:.4g} {self.unit} goal {goal} {'ok' if self.reached else 'short'}"


def report(benchmark: str, figures: Sequence[Figure], conditions: dict[str, object]) -> int:
    """Print the figures, write `build/<benchmark>.json`, return the exit code: 1 when a goal was missed."""
    BUILD.mkdir(exist_ok=True)
    rows = [{**asdict(figure), "ok": figure.reached} for figure in figures]
    text = json.dumps({"conditions": conditions, "figures": rows}, indent=2)
    (BUILD / f"{benchmark}.json").write_text(text + "\n")
    sys.stdout.write("".join(f"{figure.line()}\n" for figure in figures))
    return 0 if all(figure.reached for figure in figures) else 1
