"""metrics-server: CPU and memory of pods and nodes, for `kubectl top` and HorizontalPodAutoscalers."""

from __future__ import annotations

from pathlib import Path

from e2e.addons.addon import Addon, Json
from e2e.addons.sources import container, kustomized, module_folder, one
from e2e.cluster.archives import program_image
from e2e.cluster.providers import Cluster
from e2e.tools import tool
from e2e.tools.pins import pinned

_FAMILY = "metrics-server"
_MODULE = "sigs.k8s.io/metrics-server"
_VERSION = pinned(_FAMILY, _MODULE)
_IMAGE = f"registry.k8s.io/metrics-server/metrics-server:{_VERSION}"


def _images() -> list[Path]:
    return [program_image(_IMAGE, tool("metrics-server"))]


def _manifests() -> list[Json]:
    """The project's own, with what a test cluster has to say about its kubelets."""
    manifests = kustomized(module_folder(_FAMILY, _MODULE) / "manifests" / "base")
    server = container(one(manifests, "Deployment", "metrics-server"))
    server["image"] = _IMAGE
    kept = [argument for argument in server["args"] if not argument.startswith("--metric-resolution")]
    # kind's kubelets sign their certificates themselves. 10 s is the shortest interval that it accepts,
    # and it has to be longer than what a kubelet is waited for.
    server["args"] = [
        *kept,
        "--kubelet-insecure-tls",
        "--kubelet-request-timeout=5s",
        "--metric-resolution=10s",
    ]
    server["readinessProbe"] = {**server["readinessProbe"], "initialDelaySeconds": 1, "periodSeconds": 1}
    return manifests


def _ready(cluster: Cluster) -> None:
    """`kubectl top` has a figure for every node, and for its own pod."""
    nodes = cluster.kubectl("get", "nodes", "-o", "name").split()
    assert len(cluster.kubectl("top", "nodes", "--no-headers").splitlines()) == len(nodes)
    assert "metrics-server-" in cluster.kubectl("top", "pods", "-n", "kube-system", "--no-headers")


ADDON = Addon(
    name="metrics-server",
    summary="CPU and memory for kubectl top and HorizontalPodAutoscalers",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
)
