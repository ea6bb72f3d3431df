"""RolledOut: does every pod run the wanted template?"""

from __future__ import annotations

from productionservice.live import DeploymentState
from productionservice.status.available import refusal
from productionservice.status.conditions import ROLLED_OUT, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.pods import find_trouble, newest_template
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding:
    """Scaling is no rollout: only a template that has not reached every pod yet keeps this from being True."""
    deployment = given.deployment
    if deployment is None or not deployment.seen:
        return in_progress(ROLLED_OUT, Reason.ROLLING_OUT, "the new template is not looked at yet")
    version = given.effective.version
    if deployment.complete and deployment.updated == deployment.replicas:
        return done(ROLLED_OUT, Reason.ROLLED_OUT, f"every pod runs {version}")
    count = f"{deployment.updated} of {deployment.desired} pods run {version}{_old(deployment)}"
    trouble = refusal(deployment) or find_trouble(newest_template(given.pods))
    if trouble:
        return needs_someone(ROLLED_OUT, trouble.reason, f"{count}: {trouble.message}")
    if deployment.stalled:
        return needs_someone(ROLLED_OUT, Reason.PROGRESS_DEADLINE_EXCEEDED, f"{count}: {deployment.stalled}")
    return in_progress(ROLLED_OUT, Reason.ROLLING_OUT, count)


def _old(deployment: DeploymentState) -> str:
    """What still serves, for whoever is woken by a failed rollout."""
    old = deployment.replicas - deployment.updated
    return f", {old} of an older version keep serving" if old > 0 else ""
