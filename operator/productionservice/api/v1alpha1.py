"""The ProductionService resource, version v1alpha1. Field docs become the descriptions in the CRD.

Absent, empty and zero are three different things: a field whose default depends on the environment is
`None` here, and `productionservice.effective` says what it becomes; a constant default stands on the field.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from productionservice.api.container import EnvVar, Image, Mount, OnChange, Scratch
from productionservice.api.expose import Expose
from productionservice.api.markers import CelRule, ListKey
from productionservice.api.model import HttpPath, Model, Port, Quantity, Word, ZoneSpread
from productionservice.api.network import EgressPeer, IngressPeer, Network, Protocol
from productionservice.api.observability import Metrics, Monitor, Observability
from productionservice.api.status import ConditionStatus, Problem, Status

__all__ = [
    "Availability",
    "ComputeAmounts",
    "ConditionStatus",
    "EgressPeer",
    "EnvVar",
    "Environment",
    "Expose",
    "Image",
    "IngressPeer",
    "Metadata",
    "Metrics",
    "Monitor",
    "Mount",
    "Network",
    "Observability",
    "OnChange",
    "Probes",
    "Problem",
    "ProductionService",
    "Protocol",
    "Replicas",
    "Resources",
    "Scratch",
    "Shutdown",
    "Spec",
    "Status",
    "ZoneSpread",
]

NAME_RULES = (
    CelRule(
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: the Service gets this name, so write at most 63 lower-case letters, digits and '-', "
        "beginning with a letter",
    ),
)
"""Rules on the object as a whole; those of the spec stand on their models."""


class Environment(StrEnum):
    """Which profile of defaults applies."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class Replicas(Model):
    """How many pods. `min` equal to `max`, or no `max`, means a fixed number and no autoscaler."""

    RULES = (
        CelRule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "replicas.max: write at least replicas.min",
            "'replicas.max: %d is less than replicas.min (%d); write at least that'.format([self.max, self.min])",
            ".max",
        ),
    )

    min: Annotated[int, Field(ge=1, le=500)] | None = None
    """Fewest pods. Default: development 1, staging 2, production 3."""
    max: Annotated[int, Field(ge=1, le=500)] | None = None
    """Most pods. Default: the same as `min`."""
    cpu_percent: Annotated[int, Field(ge=1, le=100)] = 70
    """Average CPU use, in percent of the request, that the autoscaler aims at."""
    scale_down_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """Pods go only when they were not needed for this long."""


class ComputeAmounts(Model):
    """Amounts of CPU and memory."""

    RULES = (
        CelRule(
            "!has(self.cpu) || !isQuantity(self.cpu) || (quantity(self.cpu).compareTo(quantity('1m')) >= 0 && "
            "quantity(self.cpu).compareTo(quantity('1k')) <= 0)",
            "resources: cpu is in cores; write an amount from 1m to 1k, such as 250m or 2",
            "'resources: cpu %s is not from 1m to 1k cores; write an amount such as 250m or 2'.format([self.cpu])",
            ".cpu",
        ),
        CelRule(
            "!has(self.memory) || !isQuantity(self.memory) || "
            "quantity(self.memory).compareTo(quantity('1Mi')) >= 0",
            "resources: memory is in bytes; write 1Mi or more, such as 128Mi",
            "'resources: memory %s is in bytes and less than 1Mi; write an amount such as 128Mi'"
            ".format([self.memory])",
            ".memory",
        ),
    )

    cpu: Quantity | None = None
    """CPU in cores, for example `250m`."""
    memory: Quantity | None = None
    """Memory in bytes, for example `128Mi`."""


class Resources(Model):
    """What each pod asks for and may use at most."""

    RULES = tuple(
        CelRule(
            f"!has(self.requests.{what}) || !has(self.limits.{what}) || "
            f"!isQuantity(self.requests.{what}) || !isQuantity(self.limits.{what}) || "
            f"quantity(self.requests.{what}).compareTo(quantity(self.limits.{what})) <= 0",
            f"resources.requests.{what}: write at most the limit",
            f"'resources.requests.{what}: %s is more than the limit of %s; write at most that'"
            f".format([self.requests.{what}, self.limits.{what}])",
            f".requests.{what}",
        )
        for what in ("cpu", "memory")
    )

    requests: ComputeAmounts = ComputeAmounts(cpu="100m", memory="128Mi")
    """Reserved for each pod. The autoscaler measures CPU against it."""
    limits: ComputeAmounts = ComputeAmounts(memory="256Mi")
    """Upper bounds. No CPU limit by default: throttling hurts latency more than it protects neighbours."""


class Shutdown(Model):
    """How a pod leaves. The grace period is computed: propagation + drain + 10 s reserve."""

    RULES = (
        CelRule(
            "self.propagationSeconds + self.drainSeconds + 10 <= self.maxSeconds",
            "shutdown: propagationSeconds + drainSeconds + 10 s reserve exceed maxSeconds",
            "'shutdown: propagationSeconds %d + drainSeconds %d + 10 s reserve = %d s, but the platform waits only "
            "%d s: lower one of the two, or raise shutdown.maxSeconds'.format([self.propagationSeconds, "
            "self.drainSeconds, self.propagationSeconds + self.drainSeconds + 10, self.maxSeconds])",
        ),
    )

    propagation_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    """How long a leaving pod goes on serving while the cluster learns that it leaves."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] = 20
    """Longest time for requests in flight to finish after that."""
    max_seconds: Annotated[int, Field(ge=11, le=7200)] = 300
    """Longest stop that the platform allows (node drains and spot reclaims wait no longer)."""


class Availability(Model):
    """What voluntary disruptions and node or zone failures may take away."""

    max_unavailable: Annotated[int, Field(ge=1, le=499)] | None = None
    """Most pods that node drains may take away at once. Default 1; never so many that a majority is lost."""
    zones: ZoneSpread | None = None
    """Spread over zones. Default: development Ignored, staging and production Preferred."""


class Probes(Model):
    """Where the kubelet asks for health. The defaults are the paths of the operator's contract."""

    port: Port | None = None
    """Port of the three paths. Default: `adminPort`."""
    startup_path: HttpPath = "/startupz"
    """Answers 2xx once the service has started."""
    readiness_path: HttpPath = "/readyz"
    """Answers 2xx while the service should get traffic."""
    liveness_path: HttpPath = "/livez"
    """Answers 2xx unless the process has to be restarted; must not depend on anything else."""
    startup_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    """Longest time to start before the container is restarted."""


_MIN = (
    "(has(self.replicas.min) ? self.replicas.min : "
    "self.environment == 'production' ? 3 : self.environment == 'staging' ? 2 : 1)"
)
"""CEL for the fewest pods; a test compares the numbers with the profiles."""
_MOST = f"({_MIN} >= 3 ? ({_MIN} + 1) / 2 - 1 : 1)"
"""CEL for the most pods that may be unavailable: `effective.most_unavailable`."""


MOST_TEXT = 65536
"""Bytes of `command`, `args` and `env` together. Each pod and each kept ReplicaSet has a copy in the API server's
store, which takes 1.5 MiB an object."""
_TEXT = (
    "(self.command.map(word, bytes(word).size()).sum() + self.args.map(word, bytes(word).size()).sum() + "
    "self.env.map(each, has(each.value) ? bytes(each.value).size() : 0).sum())"
)
"""CEL for how many they have."""


class Spec(Model):
    """What the team wants. Only `image` is required."""

    RULES = (
        CelRule(
            f"{_TEXT} <= {MOST_TEXT}",
            f"env: with command and args, write at most {MOST_TEXT} bytes, and the rest into a ConfigMap to mount",
            "'env: with command and args it holds %d bytes of text, and every pod has a copy; write at most "
            f"{MOST_TEXT}, and the rest into a ConfigMap that mounts names'.format([{_TEXT}])",
        ),
        CelRule(
            f"!has(self.availability.maxUnavailable) || self.availability.maxUnavailable <= {_MOST}",
            "availability.maxUnavailable: so many would cost the majority of the pods",
            "'availability.maxUnavailable: %d of %d pods would cost the majority; write at most %d'.format("
            f"[self.availability.maxUnavailable, {_MIN}, {_MOST}])",
            ".availability.maxUnavailable",
        ),
        CelRule(
            "!has(self.probes.port) || self.probes.port in [self.port, self.adminPort]",
            "probes.port: write the value of port or of adminPort",
            "'probes.port: the container listens on %d (port) and %d (adminPort), not on %d; write one of them'"
            ".format([self.port, self.adminPort, self.probes.port])",
            ".probes.port",
        ),
        CelRule(
            "!has(self.observability.metrics.port) || "
            "self.observability.metrics.port in [self.port, self.adminPort]",
            "observability.metrics.port: write the value of port or of adminPort",
            "'observability.metrics.port: the container listens on %d (port) and %d (adminPort), not on %d; write one "
            "of them'.format([self.port, self.adminPort, self.observability.metrics.port])",
            ".observability.metrics.port",
        ),
        CelRule(
            f"!has(self.replicas.max) || self.replicas.max <= {_MIN} || has(self.resources.requests.cpu)",
            "resources.requests.cpu: the autoscaler measures against it; write one, or leave out replicas.max",
            field_path=".resources.requests.cpu",
        ),
        CelRule(
            "!has(self.resources.limits.memory) || !isQuantity(self.resources.limits.memory) || "
            "self.mounts.all(mount, !has(mount.scratch) || !mount.scratch.memory || "
            "!isQuantity(mount.scratch.size) || quantity(mount.scratch.size).compareTo("
            "quantity(self.resources.limits.memory)) < 0)",
            "mounts.scratch.size: in memory it counts against resources.limits.memory; write less than that",
            field_path=".mounts",
        ),
    )

    environment: Environment = Environment.PRODUCTION
    """Profile of defaults; `status.effective` shows what they came to."""
    image: Image
    """Which image runs."""
    command: Annotated[list[Word], Field(max_length=64)] = []
    """Replaces the image's entrypoint. Empty: the image's own."""
    args: Annotated[list[Word], Field(max_length=64)] = []
    """Replaces the image's arguments. Empty: the image's own."""
    port: Port = 8000
    """Traffic port of the container."""
    admin_port: Port = 9000
    """Port of probes and metrics, for the kubelet and monitoring only. May be the same as `port`."""
    probes: Probes = Probes()
    """Where the kubelet asks for health."""
    env: Annotated[list[EnvVar], Field(max_length=128), ListKey(("name",))] = []
    """Environment variables."""
    mounts: Annotated[list[Mount], Field(max_length=32), ListKey(("path",))] = []
    """Folders from ConfigMaps and Secrets, and scratch space."""
    replicas: Replicas = Replicas()
    """How many pods."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    shutdown: Shutdown = Shutdown()
    """How a pod leaves."""
    availability: Availability = Availability()
    """What disruptions may take away."""
    network: Network = Network()
    """Who may talk to whom."""
    expose: Expose | None = None
    """How the service is reached from outside. Default: not at all."""
    observability: Observability = Observability()
    """How the service is watched."""


class Metadata(BaseModel):
    """The part of the object's metadata that the operator reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0


class ProductionService(BaseModel):
    """One parsed resource: the input of every builder."""

    model_config = ConfigDict(frozen=True)

    metadata: Metadata
    spec: Spec
    unknown: tuple[str, ...] = ()
    """Paths of fields that the stored object has and this version does not know: of a newer release."""
