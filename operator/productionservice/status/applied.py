"""Applied: does every child exist as wanted?"""

from __future__ import annotations

from collections.abc import Sequence

from productionservice.children import CHILDREN
from productionservice.errors import NotOwned, OperatorError, Permanent, Unserved, Waiting
from productionservice.plan import Action, Result
from productionservice.status.conditions import APPLIED, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason

_OPTIONAL = frozenset(kind.kind for kind, _ in CHILDREN if kind.optional)


def evaluate(given: StatusInput) -> Finding:
    """False when an object is in the way or refused, Unknown while something is waited for or tried again.

    An optional kind that the cluster does not serve has a condition of its own.
    """
    failed = [result for result in given.applied.results if result.error is not None and not _absent(result)]
    if failed:
        message = "; ".join(f"{r.change.ref.kind} {r.change.ref.name}: {r.error}" for r in failed)
        return _failure([result.error for result in failed if result.error], message)
    waiting = [r.change for r in given.applied.results if r.change.action is Action.SKIPPED and not r.error]
    if waiting and given.pause:
        message = "; ".join(f"{change.ref}: {change.cause}" for change in waiting)
        return in_progress(APPLIED, Reason.PAUSED, f"changes wait for the end of the pause: {message}")
    return done(APPLIED, Reason.APPLIED, f"{_wanted(given)} children exist as wanted")


def _failure(errors: Sequence[OperatorError], message: str) -> Finding:
    """What is worst speaks for all."""
    if any(isinstance(error, NotOwned) for error in errors):
        return needs_someone(APPLIED, Reason.NOT_OWNED, message)
    if any(isinstance(error, Unserved) for error in errors):
        return needs_someone(APPLIED, Reason.FORBIDDEN, message)
    if any(isinstance(error, Permanent) for error in errors):
        return needs_someone(APPLIED, Reason.REJECTED, message)
    if all(isinstance(error, Waiting) for error in errors):
        return in_progress(APPLIED, Reason.WAITING, message)
    return in_progress(APPLIED, Reason.APPLY_FAILED, message)


def _absent(result: Result) -> bool:
    return isinstance(result.error, Unserved) and result.change.ref.kind in _OPTIONAL


def _wanted(given: StatusInput) -> int:
    return len({r.change.ref for r in given.applied.results if r.change.manifest is not None and not r.error})
