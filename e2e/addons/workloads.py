"""Objects of add-ons whose projects publish no manifests in a package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2e.addons.addon import Json


def restricted_pod(container: Mapping[str, Any], *, user: int, **spec: Any) -> Json:
    """A pod of one container that Pod Security restricted accepts; `spec` are more fields of the pod."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    of_the_pod = {"runAsNonRoot": True, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}}
    resources = {"requests": {"cpu": "20m", "memory": "64Mi"}}
    return {
        "securityContext": of_the_pod,
        "containers": [{"resources": resources, "securityContext": context, **container}],
        **spec,
    }


def deployment(namespace: str, name: str, pod: Mapping[str, Any]) -> Json:
    """One replica, selected by its name."""
    labels = _labels(name)
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": named(namespace, name),
        "spec": spec,
    }


def service(
    namespace: str, name: str, ports: Mapping[str, tuple[int, int]], *, dns: int | None = None
) -> Json:
    """Service of the deployment of that name. `ports`: name → the Service's port and the pod's; `dns` over UDP too."""
    listed = [
        {"name": port, "port": outer, "targetPort": inner, "protocol": "TCP"}
        for port, (outer, inner) in ports.items()
    ]
    if dns:
        listed += [
            {"name": f"dns-{protocol.lower()}", "port": dns, "targetPort": dns, "protocol": protocol}
            for protocol in ("UDP", "TCP")
        ]
    spec = {"selector": _labels(name), "ports": listed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": named(namespace, name), "spec": spec}


def named(namespace: str, name: str) -> Json:
    """Metadata."""
    return {"name": name, "namespace": namespace}


def _labels(name: str) -> Json:
    return {"app.kubernetes.io/name": name}
