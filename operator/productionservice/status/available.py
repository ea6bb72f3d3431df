"""Available: do enough pods serve?"""

from __future__ import annotations

from productionservice.live import DeploymentState
from productionservice.status.conditions import AVAILABLE, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.pods import Trouble, find_trouble
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding:
    """True at the wanted number, or above the floor while nothing is wrong; False once a cause is known."""
    deployment = given.deployment
    if deployment is None:
        return in_progress(AVAILABLE, Reason.STARTING, "the Deployment does not exist yet")
    count = f"{deployment.available} of {deployment.desired} pods available"
    if deployment.available >= deployment.desired > 0:
        return done(AVAILABLE, Reason.AVAILABLE, count)
    trouble = refusal(deployment) or find_trouble(given.pods)
    floor = max(1, given.effective.replicas_min - given.effective.max_unavailable)
    if trouble and trouble.reason is Reason.NODE_LOST and deployment.available >= floor:
        # What zones and budgets are for, and it mends itself.
        return done(AVAILABLE, Reason.AVAILABLE, f"{count}: {trouble.message}")
    if trouble:
        return needs_someone(AVAILABLE, trouble.reason, f"{count}: {trouble.message}")
    if deployment.available >= floor:
        return done(AVAILABLE, Reason.AVAILABLE, count)
    return in_progress(AVAILABLE, Reason.STARTING, f"{count}{_waiting_for(given)}")


def refusal(deployment: DeploymentState) -> Trouble | None:
    """Why the API server does not let the Deployment create pods."""
    if not deployment.refused:
        return None
    quota = "exceeded quota" in deployment.refused
    return Trouble(Reason.QUOTA_EXCEEDED if quota else Reason.PODS_REFUSED, deployment.refused)


def _waiting_for(given: StatusInput) -> str:
    """The first pod that is not ready, and where it stands. No times: they would rewrite the status."""
    waiting = sorted(pod.name for pod in given.pods if not pod.deleting and not pod.ready)
    if not waiting:
        return ""
    path, port = given.service.spec.probes.readiness_path, given.effective.probe_port
    return f"; waiting for pod {waiting[0]} to answer {path} on port {port}"
