"""Every fault there is a scenario for, in the order of the numbers."""

from __future__ import annotations

from e2e.faults import answers, deaths, objects, outages, streams
from e2e.faults.registry import ROWS, Row

__all__ = ["ELSEWHERE", "NOT_BUILT", "catalogue"]

_MODULES = (answers, deaths, objects, outages, streams)  # importing them registers their rows

NOT_BUILT = {
    "F27": "two services claim one host: there is no field for one yet",
}
"""What is still missing, and what it is about."""
ELSEWHERE = {
    "F15": "our webhook is down, hangs, or its certificate changes: tests/api/test_webhook.py",
    "F19": "an optional CRD goes: in the row of F18",
    "F52": "a new release renders everything anew: tests/operator/test_template_stability.py",
}
"""Shown, but not by a row here."""


def catalogue() -> list[Row]:
    """All rows."""
    return sorted(ROWS, key=lambda row: row.id)
