"""CallsAllowed: do the services let this one in that it wants to call? A policy opens one side only."""

from __future__ import annotations

from productionservice.children.references import callees
from productionservice.status.conditions import CALLS_ALLOWED, Finding, done, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding | None:
    """None when the spec names no service that it wants to call. A callee's address ranges count for nothing: which
    addresses pods have is not known.
    """
    wanted, caller = callees(given.service.spec), given.service.metadata.name
    if not wanted:
        return None
    absent = [name for name in wanted if given.admitted.get(name) is None]
    shut = [name for name in wanted if name not in absent and caller not in (given.admitted[name] or ())]
    said = [
        *(f"{name} does not list {caller}: add {{service: {caller}}} to its spec.network.allowFrom ({wanted[name]})"
          for name in shut),
        *(f"there is no ProductionService {name} ({wanted[name]})" for name in absent),
    ]  # fmt: skip
    if not said:
        return done(CALLS_ALLOWED, Reason.CALLS_ALLOWED, f"let in by {', '.join(sorted(wanted))}")
    reason = Reason.CALLEE_DOES_NOT_ALLOW if shut else Reason.CALLEE_NOT_FOUND
    return needs_someone(CALLS_ALLOWED, reason, "; ".join(said))
