"""Every fault there is a scenario for, in the order of the numbers."""

from __future__ import annotations

from e2e.faults import admission, answers, deaths, hosts, kinds, objects, outages, streams
from e2e.faults.registry import ROWS, Row

__all__ = ["ELSEWHERE", "NOT_BUILT", "RANGE", "catalogue"]

_MODULES = (
    admission,
    answers,
    deaths,
    hosts,
    kinds,
    objects,
    outages,
    streams,
)  # importing them registers their rows

NOT_BUILT: dict[str, str] = {}
"""What is still missing, and what it is about."""
ELSEWHERE = {
    "F15": "our webhook hangs, or its certificate is changed under load, as well: tests/api/test_webhook.py",
    "F52": "a new release renders everything anew: tests/operator/test_template_stability.py",
}
"""Shown, or shown further, but not by a row of that number."""
RANGE = frozenset(f"F{number:02}" for number in (*range(1, 38), 39, 40, 46, 49, 51, 52, 54, 55, 58, 59))
"""Faults that have to be here: those of the operator itself."""


def catalogue() -> list[Row]:
    """All rows."""
    return sorted(ROWS, key=lambda row: row.id)
