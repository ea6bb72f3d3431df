"""docs/performance.md: one section a benchmark, each rewritten by its own benchmark from what it measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Figure

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


def rewrite(section: str, command: str, figures: Sequence[Figure], conditions: Mapping[str, object]) -> None:
    """Replace what stands between the section's markers. Raises LookupError when the document has none."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- {section}: made by the benchmark -->", f"<!-- {section}: end -->"
    if begin not in text or end not in text:
        raise LookupError(f"{DOCUMENT}: write the lines {begin} and {end} where the table is to be")
    made = f"{begin}\n{table(command, figures, conditions)}{end}"
    DOCUMENT.write_text(
        re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: made, text, flags=re.DOTALL)
    )


def table(command: str, figures: Sequence[Figure], conditions: Mapping[str, object]) -> str:
    """The command, what it was measured on, and a row a figure."""
    machine = ", ".join(f"{name} {value}" for name, value in conditions.items())
    rows = "".join(
        f"| {figure.name.replace('_', ' ')} | {figure.value:.4g} {figure.unit} | {_goal(figure)} |\n"
        for figure in figures
    )
    return f"`{command}` ({machine})\n\n| figure | measured | goal |\n|---|---|---|\n{rows}"


def _words(figure: Figure) -> str:
    return figure.name.replace("_", " ")


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "≤" if figure.at_most else "≥"
    return f"{sign} {figure.goal:g} {'reached' if figure.reached else '**missed**'}"
