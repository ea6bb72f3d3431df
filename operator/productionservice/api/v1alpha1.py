"""The ProductionService resource, version v1alpha1. Field docs become the descriptions in the CRD.

Absent, empty and zero are three different things: a field whose default depends on the environment is
`None` here, and `productionservice.effective` says what it becomes; a constant default stands on the field.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from productionservice.api.markers import CelRule, ListKey

Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=20)]
"""A Kubernetes quantity such as `250m`, `0.5`, `128Mi`. Signs, exponents and the rarest suffixes are left out."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ServiceName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
HttpPath = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^/[^\s]*$")]
Word = Annotated[str, Field(max_length=4096)]

NAME_RULES = (
    CelRule(
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: the Service gets this name, so write at most 63 lower-case letters, digits and '-', "
        "beginning with a letter",
    ),
)
"""Rules on the object as a whole; those of the spec stand on their models."""


def _exactly_one(*fields: str) -> str:
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].exists_one(given, given)"


def _cidr_rules(owner: str) -> tuple[CelRule, ...]:
    """An address range must be one, must not be everything, and never reach a node's credentials."""
    given, path = "!has(self.cidr) || !isCIDR(self.cidr) || ", ".cidr"
    return (
        CelRule(
            "!has(self.cidr) || isCIDR(self.cidr)",
            f"{owner}.cidr: write an address range such as 10.20.0.0/16",
            f"'{owner}.cidr: %s is no address range; write one such as 10.20.0.0/16'.format([self.cidr])",
            path,
        ),
        CelRule(
            f"{given}cidr(self.cidr).prefixLength() > 0",
            f"{owner}.cidr: this is every address there is; write the range that is meant",
            field_path=path,
        ),
        CelRule(
            f"{given}(!cidr(self.cidr).containsIP('169.254.169.254') && "
            "!cidr('169.254.0.0/16').containsCIDR(self.cidr) && !cidr(self.cidr).containsIP('fd00:ec2::254'))",
            f"{owner}.cidr: this range holds the node's metadata address (169.254.169.254), which hands out "
            "credentials; write a range without it",
            field_path=path,
        ),
    )


class Model(BaseModel):
    """Base of every model: camelCase outside, frozen, and an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[CelRule, ...]] = ()
    """What the API server checks beyond types."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema with this model's rules."""
        schema = handler.resolve_ref_schema(handler(core))
        if cls.RULES:
            schema["x-kubernetes-validations"] = [rule.as_schema() for rule in cls.RULES]
        return schema


class Environment(StrEnum):
    """Which profile of defaults applies."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class ZoneSpread(StrEnum):
    """How strictly replicas are spread over zones."""

    PREFERRED = "Preferred"
    REQUIRED = "Required"
    IGNORED = "Ignored"


class Protocol(StrEnum):
    """Transport protocol of a network peer."""

    TCP = "TCP"
    UDP = "UDP"


class Image(Model):
    """Which image runs. A tag, a digest, or both (then the digest decides)."""

    RULES = (
        CelRule(
            "has(self.tag) || has(self.digest)",
            "image.tag: write an immutable tag such as v1.4.2, or image.digest",
            field_path=".tag",
        ),
        CelRule(
            "!has(self.tag) || self.tag.lowerAscii() != 'latest'",
            "image.tag: 'latest' does not say what runs; write an immutable tag such as v1.4.2",
            field_path=".tag",
        ),
        CelRule(
            "!self.repository.matches(':[^/]*$')",
            "image.repository: write the tag in image.tag, not here",
            field_path=".repository",
        ),
    )

    repository: Annotated[
        str, Field(min_length=1, max_length=255, pattern=r"^[a-z0-9]+([._:/-]+[a-z0-9]+)*$")
    ]
    """Image without tag and digest, for example `registry.example/shop/catalog`."""
    tag: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")] | None
    ) = None
    """Immutable tag, for example `v1.4.2`. `latest` is refused."""
    digest: Annotated[str, Field(pattern=r"^sha256:[a-f0-9]{64}$")] | None = None
    """Digest that is run whatever the tag says, for example `sha256:` and 64 hex digits."""
    pull_secrets: Annotated[list[ObjectName], Field(max_length=8)] = []
    """Names of image pull Secrets in the same namespace."""


class KeyRef(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the object."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Key inside the object."""


class FieldRef(Model):
    """A field of the pod itself."""

    RULES = (
        CelRule(
            "self.fieldPath in ['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', "
            "'spec.serviceAccountName', 'status.hostIP', 'status.podIP', 'status.podIPs'] || "
            "self.fieldPath.matches('^metadata[.](labels|annotations)[[]')",
            "fieldRef.fieldPath: write metadata.name, metadata.namespace, metadata.uid, spec.nodeName, "
            "spec.serviceAccountName, status.hostIP, status.podIP or status.podIPs",
            field_path=".fieldPath",
        ),
    )

    field_path: Annotated[str, Field(min_length=1, max_length=253)]
    """For example `metadata.name`, `status.podIP`, `spec.nodeName`."""


class EnvSource(Model):
    """Where the value of an environment variable comes from. Exactly one of the three."""

    RULES = (
        CelRule(
            _exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef"),
            "env.valueFrom: write exactly one of secretKeyRef, configMapKeyRef and fieldRef",
        ),
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """A field of the pod."""


class EnvVar(Model):
    """One environment variable: `value` or `valueFrom`."""

    RULES = (
        CelRule(
            "has(self.value) != has(self.valueFrom)",
            "env: write either value or valueFrom",
            "'env %s: write either value or valueFrom'.format([self.name])",
        ),
        CelRule(
            "!self.name.startsWith('PRODUCTIONSERVICE_')",
            "env.name: names that begin with PRODUCTIONSERVICE_ are the operator's; write another one",
            field_path=".name",
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable. `PRODUCTIONSERVICE_CONFIG` is the operator's own."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """The value as it is; `$(…)` is not expanded."""
    value_from: EnvSource | None = None
    """Where to take the value from."""


class Scratch(Model):
    """A writable folder that lives as long as the pod."""

    size: Quantity = "64Mi"
    """Most that it may hold; the pod is evicted beyond."""
    memory: bool = False
    """True keeps it in memory; it then counts against the memory limit."""


class Mount(Model):
    """One folder in the container: exactly one of `configMap`, `secret`, `scratch`."""

    RULES = (
        CelRule(
            _exactly_one("configMap", "secret", "scratch"),
            "mounts: write exactly one of configMap, secret and scratch",
            "'mounts %s: write exactly one of configMap, secret and scratch'.format([self.path])",
        ),
        CelRule(
            "!self.path.matches('^/(etc/productionservice|proc|sys|dev|var/run/secrets|run/secrets)(/|$)')",
            "mounts.path: this folder belongs to the system or the operator; write another one",
            "'mounts.path: %s belongs to the system or the operator; write another folder'.format([self.path])",
            ".path",
        ),
        CelRule(
            "!self.path.matches('(^|/)[.][.]?(/|$)') && !self.path.matches('//') && !self.path.matches('/$')",
            "mounts.path: write it without '.', '..', '//' and a '/' at the end",
            field_path=".path",
        ),
    )

    path: Annotated[str, Field(min_length=2, max_length=255, pattern=r"^/[^:\s]+$")]
    """Absolute path in the container."""
    config_map: ObjectName | None = None
    """ConfigMap whose keys become files, read-only."""
    secret: ObjectName | None = None
    """Secret whose keys become files, read-only."""
    scratch: Scratch | None = None
    """Writable scratch space."""


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


class ComputeAmounts(Model):
    """Amounts of CPU and memory."""

    cpu: Quantity | None = None
    """CPU in cores, for example `250m`."""
    memory: Quantity | None = None
    """Memory in bytes, for example `128Mi`."""


class Resources(Model):
    """What each pod asks for and may use at most."""

    RULES = tuple(
        CelRule(
            f"!has(self.requests.{what}) || !has(self.limits.{what}) || "
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


class IngressPeer(Model):
    """Who may call: exactly one of `service`, `cidr`."""

    RULES = (
        CelRule(
            _exactly_one("service", "cidr"),
            "network.allowFrom: write exactly one of service and cidr in each entry",
        ),
        *_cidr_rules("network.allowFrom"),
    )

    service: ServiceName | None = None
    """Name of a ProductionService in the same namespace."""
    cidr: Annotated[str, Field(max_length=43)] | None = None
    """Address range, for example `10.20.0.0/16`."""


class EgressPeer(Model):
    """Who may be called: exactly one of `service`, `cidr`."""

    RULES = (
        CelRule(
            _exactly_one("service", "cidr"),
            "network.allowTo: write exactly one of service and cidr in each entry",
        ),
        CelRule(
            "!has(self.cidr) || has(self.port)",
            "network.allowTo.port: write the port that is meant at this address range",
            field_path=".port",
        ),
        CelRule(
            "!has(self.service) || !has(self.port)",
            "network.allowTo.port: leave it out; the traffic port of the service is opened",
            field_path=".port",
        ),
        *_cidr_rules("network.allowTo"),
    )

    service: ServiceName | None = None
    """Name of a ProductionService in the same namespace; its traffic port is opened."""
    cidr: Annotated[str, Field(max_length=43)] | None = None
    """Address range, for example `10.20.0.0/16`. Needs `port`."""
    port: Port | None = None
    """Port at the address range."""
    protocol: Protocol = Protocol.TCP
    """Transport protocol at the address range."""


class Network(Model):
    """Who may talk to whom. Everything else is denied, in both directions; DNS and probes are always allowed."""

    allow_from: Annotated[list[IngressPeer], Field(max_length=64)] = []
    """Callers of the traffic port."""
    allow_to: Annotated[list[EgressPeer], Field(max_length=64)] = []
    """What the service may call."""


_MIN = (
    "(has(self.replicas.min) ? self.replicas.min : "
    "self.environment == 'production' ? 3 : self.environment == 'staging' ? 2 : 1)"
)
"""CEL for the fewest pods; a test compares the numbers with the profiles."""
_MOST = f"({_MIN} >= 3 ? ({_MIN} + 1) / 2 - 1 : 1)"
"""CEL for the most pods that may be unavailable: `effective.most_unavailable`."""


class Spec(Model):
    """What the team wants. Only `image` is required."""

    RULES = (
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
            f"!has(self.replicas.max) || self.replicas.max <= {_MIN} || has(self.resources.requests.cpu)",
            "resources.requests.cpu: the autoscaler measures against it; write one, or leave out replicas.max",
            field_path=".resources.requests.cpu",
        ),
        CelRule(
            "!has(self.resources.limits.memory) || self.mounts.all(mount, !has(mount.scratch) || "
            "!mount.scratch.memory || quantity(mount.scratch.size).compareTo("
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
