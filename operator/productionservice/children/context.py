"""What builders may know beside the spec: plain data, filled by the shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""JSON form of a Kubernetes object as it is applied: canonical, no needless defaults, no empties."""


@dataclass(frozen=True)
class BuildContext:
    """Frozen plain data from the operator's configuration."""

    dns_namespace: str = "kube-system"
    """Namespace of the cluster's DNS pods."""
    dns_labels: Mapping[str, str] = field(default_factory=lambda: {"k8s-app": "kube-dns"})
    """Labels of the cluster's DNS pods."""
    dns_ports: tuple[int, ...] = (53,)
    """Ports on which the cluster's DNS pods listen."""
    monitoring_namespace: str = "monitoring"
    """Namespace from which metrics are scraped."""
    monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels on each ServiceMonitor, for a Prometheus that selects by them."""
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
