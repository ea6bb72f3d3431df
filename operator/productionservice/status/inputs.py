"""Everything that evaluators may look at, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from productionservice.api.v1alpha1 import ProductionService
from productionservice.effective import Effective
from productionservice.plan import Applied
from productionservice.status.pods import PodState


@dataclass(frozen=True)
class DeploymentState:
    """The Deployment's own account of itself. Counts are zero until its controller has looked."""

    seen: bool
    """True when its controller has seen the newest template."""
    desired: int
    replicas: int
    updated: int
    ready: int
    available: int
    complete: bool
    """True once its controller has called the rollout complete; scaling does not take that back."""
    stalled: str
    """Message of the progress deadline, empty while it is not exceeded."""
    refused: str
    """Message of the API server when it refuses pods, empty otherwise."""


@dataclass(frozen=True)
class StatusInput:
    """One snapshot: the evaluators read nothing else."""

    service: ProductionService
    effective: Effective
    applied: Applied
    deployment: DeploymentState | None
    pods: Sequence[PodState]


def deployment_state(manifest: Mapping[str, Any] | None) -> DeploymentState | None:
    """Read the live Deployment; None when there is none (yet)."""
    if manifest is None:
        return None
    status = manifest.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    exceeded = progressing.get("reason") == "ProgressDeadlineExceeded"
    return DeploymentState(
        seen=status.get("observedGeneration", 0) >= manifest.get("metadata", {}).get("generation", 1),
        desired=manifest.get("spec", {}).get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        complete=progressing.get("reason") == "NewReplicaSetAvailable",
        stalled=progressing.get("message", "") if exceeded else "",
        refused=failure.get("message", "") if failure.get("status") == "True" else "",
    )
