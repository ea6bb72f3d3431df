"""prometheus-operator: makes Prometheus, and its configuration out of ServiceMonitors and their like."""

from __future__ import annotations

from pathlib import Path

from e2e import crds
from e2e.addons.addon import Addon, Json
from e2e.addons.sources import container, documents, folder_documents, module_folder, one
from e2e.cluster.archives import program_image
from e2e.cluster.providers import Cluster
from e2e.tools import tool
from e2e.tools.pins import pinned

NAMESPACE = "monitoring"
"""From which our operator lets services be scraped, unless it is told otherwise."""

_FAMILY = "prometheus-operator"
_MODULE = "github.com/prometheus-operator/prometheus-operator"
_VERSION = pinned(_FAMILY, _MODULE)
_PROGRAMS = ("prometheus-operator", "prometheus-config-reloader")
_EVERYWHERE = frozenset({"ClusterRole", "ClusterRoleBinding"})


def _images() -> list[Path]:
    # The pods that it makes start their programs in /bin.
    return [
        program_image(f"quay.io/prometheus-operator/{name}:{_VERSION}", tool(name), folder="/bin/")
        for name in _PROGRAMS
    ]


def _manifests() -> list[Json]:
    """The project's own, in a namespace of ours."""
    rights = module_folder(_FAMILY, _MODULE) / "example" / "rbac" / "prometheus-operator"
    manifests = moved(folder_documents(rights), NAMESPACE)
    operator = container(one(manifests, "Deployment", "prometheus-operator"))
    # Nobody asks for the kubelets' figures here, and their Endpoints would stay when it goes.
    kept = [a for a in operator["args"] if not a.startswith("--kubelet-")]
    # By default the program that reloads Prometheus has a hundredth of a core, and needs seconds to start.
    operator["args"] = [*kept, "--config-reloader-cpu-limit=0"]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(item for file in crds.crd_files("prometheus-operator") for item in documents(file.read_text())),
        *manifests,
    ]


def moved(manifests: list[Json], namespace: str) -> list[Json]:
    """The same objects in another namespace, and bindings to accounts there."""
    for item in manifests:
        if item["kind"] not in _EVERYWHERE:
            item["metadata"]["namespace"] = namespace
        for subject in item.get("subjects", ()):
            subject["namespace"] = namespace
    return manifests


def _ready(cluster: Cluster) -> None:
    """It says that it watches what Prometheus is made of."""
    where = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus-operator:http/proxy/metrics"
    figures = cluster.kubectl("get", "--raw", where)
    assert 'prometheus_operator_ready{controller="prometheus"} 1' in figures


ADDON = Addon(
    name="prometheus-operator",
    summary="Prometheus and its configuration out of custom resources",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
)
