"""The status of a ProductionService: what the operator has found and done."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from productionservice.api.markers import ListKey
from productionservice.api.model import Model, ZoneSpread


class ConditionStatus(StrEnum):
    """True: done. False: needs someone. Unknown: in progress or not known yet."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the state, in the shape that all of Kubernetes uses."""

    type: str
    status: ConditionStatus
    reason: str
    """One word in CamelCase; docs/conditions.md explains each."""
    message: str
    """For people: which object, which pod, what the cause is, what to do."""
    last_transition_time: str
    """When `status` changed last, RFC 3339, UTC."""
    observed_generation: int


class ChildStatus(Model):
    """One object that the operator keeps for this service."""

    kind: str
    name: str
    ready: bool
    """True when it exists as wanted."""


class ReplicaCounts(Model):
    """Pods by state."""

    desired: int = 0
    updated: int = 0
    """Pods of the newest version."""
    ready: int = 0
    available: int = 0


class EffectiveStatus(Model):
    """Numbers that were computed from the spec and the environment's profile."""

    replicas_min: int
    replicas_max: int
    max_unavailable: int
    zones: ZoneSpread
    termination_grace_period_seconds: int


class ImageStatus(Model):
    """What is wanted and what runs."""

    wanted: str
    """Image reference of the pod template."""
    running: list[str] = []
    """Distinct image ids (by digest) of the running pods, sorted."""


class Problem(Model):
    """A warning: something works but should be changed."""

    field: str
    """Path in the spec."""
    message: str


class Status(Model):
    """What the operator has found and done. `kubectl get psvc` shows the gist."""

    observed_generation: int | None = None
    """Generation of the spec that this status is about."""
    conditions: Annotated[list[Condition], ListKey(("type",))] = []
    """Ready first."""
    version: str | None = None
    """Tag, or short digest, of the wanted image."""
    image: ImageStatus | None = None
    url: str | None = None
    """Where the service answers."""
    replicas: ReplicaCounts | None = None
    effective: EffectiveStatus | None = None
    children: list[ChildStatus] = []
    problems: list[Problem] = []
