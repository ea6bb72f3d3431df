"""What has a condition of its own, since a cluster may not have its kind."""

from __future__ import annotations

from productionservice.errors import NotOwned, Permanent, Unserved
from productionservice.plan import Action
from productionservice.status.conditions import Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason


def child_finding(given: StatusInput, type_: str, kind: str, as_wanted: Reason) -> Finding | None:
    """True when the child of this kind is as wanted; None when none is wanted."""
    results = [
        r for r in given.applied.results if r.change.ref.kind == kind and r.change.manifest is not None
    ]
    if not results:
        return None
    worst = next((r for r in results if r.error is not None), None) or next(
        (r for r in results if r.change.action is Action.SKIPPED), results[-1]
    )
    change, error = worst.change, worst.error
    if error is None and change.action is Action.SKIPPED:
        return in_progress(type_, Reason.PAUSED, f"{change.ref} waits for the end of the pause")
    if error is None:
        return done(type_, as_wanted, f"{change.ref} exists as wanted")
    message = f"{change.ref}: {error}"
    if isinstance(error, Unserved):
        reason = Reason.FORBIDDEN if error.forbidden else Reason.CRD_NOT_INSTALLED
        return needs_someone(type_, reason, message)
    if isinstance(error, NotOwned):
        return needs_someone(type_, Reason.NOT_OWNED, message)
    if isinstance(error, Permanent):
        return needs_someone(type_, Reason.REJECTED, message)
    return in_progress(type_, Reason.APPLY_FAILED, message)
