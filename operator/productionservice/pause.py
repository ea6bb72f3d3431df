"""Pausing a service: its children stay as they are, until a time, by somebody, for a reason.

kubectl annotate psvc catalog 'productionservice.io/paused=until=2026-12-01T12:00:00Z; by=alice; why=incident 4711'
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from productionservice import labels

DEFAULT = timedelta(hours=1)
"""How long a pause without a readable end lasts. Whoever wrote it wanted a pause, and none may last for ever."""
EXAMPLE = f"{labels.PAUSED}=until=2026-12-01T12:00:00Z; by=alice; why=incident 4711"


@dataclass(frozen=True)
class Pause:
    """What the annotation says, and whether that holds now."""

    until: datetime
    by: str
    why: str
    active: bool
    fault: str = ""
    """What is wrong with the annotation, and what to write."""


def read_pause(text: str, *, since: datetime | None, now: datetime) -> Pause | None:
    """None without an annotation. `since` is when a pause was first seen, None when that is now.

    A pause whose end cannot be read lasts an hour from then on.
    """
    if not text.strip():
        return None
    parts = dict(_pair(part) for part in text.split(";"))
    by, why = parts.get("by", ""), parts.get("why", "")
    until = _time(parts.get("until", ""))
    if until is not None:
        return Pause(until, by, why, active=now < until)
    until = (since or now) + DEFAULT
    fault = f"the annotation says no time at which it ends, so it ends after an hour: write {EXAMPLE}"
    return Pause(until, by, why, active=now < until, fault=fault)


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip(), value.strip()


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):  # the latter: the first or last day there is, in another time zone
        return None
