"""The status of a ProductionService: what the operator has found and done."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

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
    """Which aspect."""
    status: ConditionStatus
    """True: done. False: needs someone. Unknown: in progress or not known yet."""
    reason: str
    """One word in CamelCase; docs/conditions.md explains each."""
    message: str
    """For people: which object, which pod, what the cause is, what to do."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When `status` changed last, RFC 3339, UTC."""
    observed_generation: int
    """Generation of the spec that this condition is about."""


class ChildStatus(Model):
    """One object that the operator keeps for this service."""

    kind: str
    """Kind of the object."""
    name: str
    """Name of the object, in the same namespace."""
    ready: bool
    """True when it exists as wanted."""


class ReplicaCounts(Model):
    """Pods by state."""

    desired: int = 0
    """Pods that are wanted now."""
    updated: int = 0
    """Pods of the newest version."""
    ready: int = 0
    """Pods that say they are ready."""
    available: int = 0
    """Pods that have been ready for long enough to be counted on."""


class EffectiveStatus(Model):
    """Numbers that were computed from the spec and the environment's profile."""

    replicas_min: int
    """Fewest pods."""
    replicas_max: int
    """Most pods; the same as `replicasMin` when there is no autoscaler."""
    max_unavailable: int
    """Most pods that node drains may take away at once."""
    zones: ZoneSpread
    """How strictly pods are spread over zones."""
    termination_grace_period_seconds: int
    """Seconds that a pod gets to leave: propagation + drain + reserve."""


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
    """What it leads to, and what to write instead."""


class Status(Model):
    """What the operator has found and done. `kubectl get psvc` shows the gist."""

    observed_generation: int | None = None
    """Generation of the spec that this status is about."""
    conditions: Annotated[list[Condition], ListKey(("type",))] = []
    """What holds and what does not, Ready first."""
    version: str | None = None
    """Tag, or short digest, of the wanted image."""
    image: ImageStatus | None = None
    """Which image is wanted and which ones run."""
    url: str | None = None
    """Where the service answers."""
    replicas: ReplicaCounts | None = None
    """Pods by state."""
    effective: EffectiveStatus | None = None
    """Numbers that were computed from the spec and the environment's profile."""
    children: list[ChildStatus] = []
    """The objects that the operator keeps for this service, in the order in which it writes them."""
    problems: list[Problem] = []
    """Warnings: what works but should be changed."""
