"""Every fault there is a scenario for, in the order of the numbers."""

from __future__ import annotations

from e2e.faults import answers, deaths, objects, outages, streams
from e2e.faults.registry import ROWS, Row

__all__ = ["NOT_BUILT", "catalogue"]

_MODULES = (answers, deaths, objects, outages, streams)  # importing them registers their rows

NOT_BUILT = {
    "F15": "our webhook is down (shown by tests/api/test_webhook.py, not behind the proxy)",
    "F27": "two services claim one host",
}
"""What is still missing, and what it is about."""


def catalogue() -> list[Row]:
    """All rows."""
    return sorted(ROWS, key=lambda row: row.id)
