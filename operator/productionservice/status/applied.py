"""Applied: does every child exist as wanted?"""

from __future__ import annotations

from productionservice.errors import NotOwned, Permanent
from productionservice.status.conditions import APPLIED, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding:
    """False when an object is in the way or refused, Unknown while a write is being retried."""
    failed = [result for result in given.applied.results if result.error is not None]
    if not failed:
        return done(APPLIED, Reason.APPLIED, f"{_wanted(given)} children exist as wanted")
    message = "; ".join(f"{r.change.ref.kind} {r.change.ref.name}: {r.error}" for r in failed)
    if any(isinstance(result.error, NotOwned) for result in failed):
        return needs_someone(APPLIED, Reason.NOT_OWNED, message)
    if any(isinstance(result.error, Permanent) for result in failed):
        return needs_someone(APPLIED, Reason.REJECTED, message)
    return in_progress(APPLIED, Reason.APPLY_FAILED, message)


def _wanted(given: StatusInput) -> int:
    return len({result.change.ref for result in given.applied.results if result.change.manifest is not None})
