"""Paused: does somebody keep the operator from changing anything?"""

from __future__ import annotations

from productionservice import labels
from productionservice.status.conditions import PAUSED, Finding, done, needs_someone, timestamp
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding | None:
    """None without the annotation. It says nothing about Ready: a paused service may well be as wanted."""
    pause = given.pause
    if pause is None:
        return None
    until = timestamp(pause.until)
    if not pause.active:
        text = f"ended at {until}: remove the annotation {labels.PAUSED}"
        return needs_someone(PAUSED, Reason.PAUSE_ENDED, text)
    who = f" by {pause.by}" if pause.by else ""
    why = f": {pause.why}" if pause.why else ""
    fault = f" ({pause.fault})" if pause.fault else ""
    return done(PAUSED, Reason.PAUSED, f"until {until}{who}{why}{fault}")
