"""What builders may know beside the spec: plain data, filled by the shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""JSON form of a Kubernetes object as it is applied: canonical, no needless defaults, no empties."""


@dataclass(frozen=True)
class Pods:
    """Pods of somebody else's, by where they are."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Empty: all pods of the namespace."""


@dataclass(frozen=True)
class EdgeGateway:
    """A Gateway of the platform that services may be reached by."""

    namespace: str = "edge"
    name: str = "public"
    listener: str = "http"
    """Its listener for plain HTTP."""
    class_name: str = "public"
    """GatewayClass of the Gateways that the operator makes beside it."""
    pods: Pods = Pods("edge")
    """What carries its requests."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class BuildContext:
    """Frozen plain data from the operator's configuration."""

    dns_namespace: str = "kube-system"
    """Namespace of the cluster's DNS pods."""
    dns_labels: Mapping[str, str] = field(default_factory=lambda: {"k8s-app": "kube-dns"})
    """Labels of the cluster's DNS pods."""
    dns_ports: tuple[int, ...] = (53,)
    """Ports on which the cluster's DNS pods listen."""
    dns_addresses: tuple[str, ...] = ()
    """Addresses of a DNS cache on each node."""
    monitoring_namespace: str = "monitoring"
    """Namespace from which metrics are scraped."""
    monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels on each ServiceMonitor, for a Prometheus that selects by them."""
    edge_gateway: EdgeGateway | None = EdgeGateway()
    """The Gateway of services that name none; None: they are exposed by Ingress."""
    edge_gateways: tuple[EdgeGateway, ...] = ()
    """Further ones that a spec may name."""
    edge_ingress_class: str = ""
    """IngressClass where there is no Gateway, or no Gateway API; empty: the cluster's default, without a Gateway."""
    edge_pods: Pods = Pods("edge")
    """What carries the requests of Ingresses."""
    absent: frozenset[str] = frozenset()
    """Kinds that the cluster does not serve."""
    moving: bool = False
    """True while an Ingress leads to the service, and the routes that follow it have not been taken up."""
    leaving: tuple[EdgeGateway, ...] = ()
    """Gateways that still lead to the service, until the one that follows them has taken up its routes."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Hosts of the spec that another service holds, and which one, as namespace/name."""
    restart_mark: str | None = None
    """What the pods' template says of the Secrets and ConfigMaps that they read (`references.restart_mark`). None
    where there is no cluster to look at."""


@dataclass(frozen=True)
class Kind:
    """One kind of child: how it is named in manifests and in URLs."""

    api_version: str
    kind: str
    plural: str
    origin: str = ""
    """Who brings the kind to a cluster that may not have it; empty for Kubernetes' own kinds."""

    @property
    def optional(self) -> bool:
        """True when a cluster may not have it."""
        return bool(self.origin)

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]
