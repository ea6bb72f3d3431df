"""CertificateReady: is there a valid certificate, and is it being renewed?"""

from __future__ import annotations

from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.live import EdgeState
from productionservice.status.conditions import CERTIFICATE_READY, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.optional import child_finding
from productionservice.status.reasons import Reason

KIND = "Certificate"


def evaluate(given: StatusInput) -> Finding | None:
    """None when no certificate is wanted."""
    found = child_finding(given, CERTIFICATE_READY, KIND, Reason.CERTIFICATE_ISSUED)
    if found is None or found.status is not ConditionStatus.TRUE:
        return found
    states = [r.live.state for r in given.applied.results if r.change.ref.kind == KIND and r.live]
    state = next((state for state in states if isinstance(state, EdgeState)), EdgeState(()))
    return _of(state)


def _of(state: EdgeState) -> Finding:
    """cert-manager sets Issuing to False when a request has failed, and takes it away when one succeeds."""
    ready, issuing = state.find("Ready"), state.find("Issuing")
    valid = ready is not None and ready.status == "True"
    failed = f"since {issuing.since}: {issuing.message}" if issuing and issuing.status == "False" else ""
    if failed and valid:
        text = f"valid until {state.not_after}, but its renewal fails {failed}"
        return needs_someone(CERTIFICATE_READY, Reason.RENEWAL_FAILED, text)
    if failed:
        return needs_someone(CERTIFICATE_READY, Reason.ISSUANCE_FAILED, f"no certificate {failed}")
    if not valid:
        text = ready.message if ready else "cert-manager has not looked at it yet"
        return in_progress(CERTIFICATE_READY, Reason.ISSUING, text)
    return done(CERTIFICATE_READY, Reason.CERTIFICATE_ISSUED, f"valid until {state.not_after}")
