"""Everything that evaluators may look at, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from productionservice.api.v1alpha1 import ProductionService
from productionservice.children.context import BuildContext
from productionservice.children.references import Missing
from productionservice.effective import Effective
from productionservice.live import DeploymentState
from productionservice.pause import Pause
from productionservice.plan import Applied
from productionservice.status.pods import PodState


@dataclass(frozen=True)
class StatusInput:
    """One snapshot: the evaluators read nothing else."""

    service: ProductionService
    effective: Effective
    applied: Applied
    deployment: DeploymentState | None
    pods: Sequence[PodState]
    missing: tuple[Missing, ...] | None = ()
    """What the spec refers to and is not there; None where the operator may not look."""
    pause: Pause | None = None
    """The pause that the annotation asks for, ended or not."""
    admitted: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    """Whom each service lets in that this one wants to call; None for one that does not exist."""
    context: BuildContext = field(default_factory=BuildContext)
    """With what the children were made: the edge, and the hosts that other services hold."""
