"""The operator's own settings, read from the environment once at start. The only reader of `os.environ`."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Collection, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, Json, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from productionservice.api.network import NEVER_REACHED

PREFIX = "PRODUCTIONSERVICE_OPERATOR_"
_LISTS = frozenset({"dns_addresses", "dns_ports", "namespaces"})
_PAIRS = frozenset({"dns_labels", "monitor_labels", "edge_labels"})
_MAY_BE_EMPTY = ("monitor_labels", "edge_labels")
_CREDENTIALS = tuple(
    ip_network(range_)
    for range_ in (
        "169.254.169.0/24",
        "169.254.170.0/24",
        *(r for r in NEVER_REACHED if r != "169.254.0.0/16"),
    )
)
"""What no service may reach whatever is configured; the rest of the link-local range is where a cache on the node
listens."""
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")


class ConfigError(Exception):
    """The environment holds a value that cannot be used. The message names the variable and what to write."""


class _FromJson(BaseModel):
    """Part of a setting that is written as JSON, with the names that the chart uses."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class EdgePods(_FromJson):
    """Pods through which requests from outside come."""

    namespace: Annotated[str, Field(pattern=_NAME.pattern)]
    labels: Mapping[str, str] = Field(default_factory=dict)


class OfferedGateway(_FromJson):
    """A further Gateway that services may name."""

    namespace: Annotated[str, Field(pattern=_NAME.pattern)]
    name: Annotated[str, Field(pattern=_NAME.pattern)]
    listener: Annotated[str, Field(min_length=1)] = "http"
    class_name: Annotated[str, Field(min_length=1)]
    pods: EdgePods | None = None


class OperatorConfig(BaseModel):
    """Everything that can be set from outside. Each field is the variable PREFIX + its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    namespaces: tuple[str, ...] = ()
    """Namespaces to work in, separated by commas. Empty: all of the cluster."""
    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Passes that run at the same time."""
    leader_election: bool = True
    """False only where a single replica is certain, for example on a laptop."""
    lease_name: Annotated[str, Field(min_length=1, max_length=253)] = "productionservice-operator"
    """Name of the Lease that replicas compete for."""
    lease_namespace: str = ""
    """Namespace of the Lease. Default: the pod's own, or `default` outside a cluster."""
    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}")
    """Name of this replica in the Lease. Unique a process: a restarted container must not inherit a Lease."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
    http_host: str = "0.0.0.0"  # noqa: S104 - kubelet and Prometheus call from outside the pod
    """Address of /healthz, /readyz and /metrics."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of the three; 0 takes a free one."""
    webhook_certificates: Path | None = None
    """Folder with tls.crt and tls.key to serve the admission webhook with. Default: no webhook."""
    webhook_port: Annotated[int, Field(ge=0, le=65535)] = 9443
    """Port of the admission webhook; 0 takes a free one."""
    zones: Annotated[int, Field(ge=0, le=100)] = 0
    """In how many zones the cluster has nodes, for what the webhook says about them; 0: not known."""
    resync_seconds: Annotated[float, Field(ge=10, le=86400)] = 600
    """Time between two looks at everything, jittered by a tenth."""
    relist_seconds: Annotated[float, Field(ge=10, le=86400)] = 600
    """Time between two complete lists of each kind: they find what a watch has lost without a word."""
    dns_namespace: str = "kube-system"
    """Namespace of the cluster's DNS pods; services may always talk to them."""
    dns_labels: Mapping[str, str] = Field(default_factory=lambda: {"k8s-app": "kube-dns"})
    """Labels of the cluster's DNS pods, as `key=value,key=value`."""
    dns_ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1)] = (53,)
    """Ports on which the DNS pods themselves listen, separated by commas: policies see them, not the Service's 53."""
    dns_addresses: tuple[IPvAnyAddress, ...] = ()
    """Addresses at which pods ask a DNS cache on their own node, separated by commas: 169.254.20.10 with NodeLocal
    DNSCache. Opened on port 53 beside the DNS pods."""
    monitoring_namespace: str = "monitoring"
    """Namespace from which Prometheus scrapes."""
    monitor_labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels on each ServiceMonitor, as `key=value,key=value`, for a Prometheus that selects by them."""
    edge_gateway: Annotated[str, Field(pattern=r"^$|^[^/\s]+/[^/\s]+$")] = "edge/public"
    """The platform's Gateway for plain HTTP, as `namespace/name`. Empty: services are exposed by Ingress."""
    edge_gateway_class: Annotated[str, Field(min_length=1)] = "public"
    """GatewayClass of the Gateways that hold the HTTPS listeners of services."""
    edge_listener: Annotated[str, Field(min_length=1)] = "http"
    """Listener of the platform's Gateway for plain HTTP."""
    edge_gateways: Json[tuple[OfferedGateway, ...]] = ()
    """Further Gateways that a service may name, as a JSON list of objects with `namespace`, `name`, `className` and,
    where they differ from the defaults, `listener` and `pods`."""
    edge_ingress_class: str = ""
    """IngressClass of services that are exposed by Ingress and name none. Empty: the cluster's default. With a Gateway
    too, it stands in where the cluster has no Gateway API."""
    edge_namespace: Annotated[str, Field(min_length=1)] = "edge"
    """Namespace of the pods through which requests from outside come; they may reach exposed services."""
    edge_labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels of these pods, as `key=value,key=value`. Empty: all pods of the namespace."""
    kubeconfig: Path | None = None
    """Kubeconfig to log in with. Default: KUBECONFIG, else the pod's service account."""
    api_host: str = ""
    """Address of the API server inside a cluster: KUBERNETES_SERVICE_HOST and _PORT."""

    @field_validator("namespaces")
    @classmethod
    def _namespaces_are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in names if not _NAME.match(name)]
        if wrong:
            raise ValueError(f"`{wrong[0]}` is no name of a namespace: write names separated by commas")
        return names

    @field_validator("dns_addresses")
    @classmethod
    def _dns_hands_out_no_credentials(cls, addresses: tuple[IPvAnyAddress, ...]) -> tuple[IPvAnyAddress, ...]:
        for address in addresses:
            if any(address in range_ for range_ in _CREDENTIALS):
                raise ValueError(
                    f"{address} hands out credentials of the node: write the address of the DNS cache"
                )
        return addresses

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the configuration. Raises ConfigError; an unknown variable with our prefix is an error too."""
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {
            "lease_namespace": _own_namespace(),
            **_cluster_address(env),
            **_settings(env, cls.model_fields),
        }
        if "kubeconfig" not in values and env.get("KUBECONFIG"):
            values["kubeconfig"] = env["KUBECONFIG"]
        for name in _LISTS & values.keys():
            values[name] = tuple(part.strip() for part in values[name].split(",") if part.strip())
        for name in _MAY_BE_EMPTY:
            if not values.get(name, "…"):
                del values[name]  # how the chart says: none
        for name in _PAIRS & values.keys():
            values[name] = _pairs(f"{PREFIX}{name.upper()}", values[name])
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError("; ".join(_line(fault) for fault in error.errors())) from error


_SERVICE_LINK = re.compile(r"(.*_)?(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)")
"""What the kubelet sets for each Service of the namespace. For one named like the operator it begins with PREFIX."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts token, CA and namespace of a pod's service account."""


def _settings(env: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Our variables. Unknown ones are kept, to be refused, unless they are none of ours."""
    ours = {name[len(PREFIX) :]: value for name, value in env.items() if name.startswith(PREFIX)}
    return {
        name.lower(): value
        for name, value in ours.items()
        if name.lower() in known or not _SERVICE_LINK.fullmatch(name)
    }


def _own_namespace() -> str:
    file = SERVICE_ACCOUNT / "namespace"
    return file.read_text().strip() if file.exists() else "default"


def _cluster_address(env: Mapping[str, str]) -> dict[str, str]:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return {}
    return {"api_host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}


def _pairs(variable: str, text: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(key and sign for key, sign, _ in pairs):
        raise ConfigError(f"{variable}: `{text}` is no list of labels: write key=value,key=value")
    return {key: value for key, _, value in pairs}


def _line(fault: Mapping[str, Any]) -> str:
    name = f"{PREFIX}{str(fault['loc'][0]).upper()}"
    if fault["type"] == "extra_forbidden":
        return f"{name}: there is no such setting: see --help"
    where = "".join(f" {part}" for part in fault["loc"][1:])  # within a list or an object
    return f"{name}{where}: `{fault['input']}`: {fault['msg']}"
