"""Put the operator into a cluster the way its users do: images, then the Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from e2e import images
from e2e.cluster.providers import Cluster
from e2e.helm import HelmError, helm
from e2e.images import RECIPES
from e2e.progress import CommandError

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "productionservice-operator"
NAMESPACE = "productionservice-system"
RELEASE = "productionservice-operator"
OPERATOR_IMAGE = RECIPES["operator"].repository
SERVICE_IMAGE = RECIPES["service"].repository
TAG = "v0.1.0"


def load_images(cluster: Cluster) -> None:
    """Build both images (warm: nothing to do) and put them on every node."""
    archives = [images.build_image("operator", TAG), images.build_image("service", TAG)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda archive: cluster.load_docker_image(str(archive)), archives))


def operator_helm(cluster: Cluster, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """Output of Helm in the operator's namespace of this cluster. Raises HelmError."""
    where = ("--kubeconfig", str(cluster.kubeconfig_path), "--namespace", NAMESPACE)
    return helm(*arguments, *where, values=values)


def install_operator(cluster: Cluster, values: Mapping[str, Any] | None = None) -> None:
    """Install or upgrade the chart and wait until its pods are ready."""
    image = {"image": {"repository": OPERATOR_IMAGE, "tag": TAG, "pullPolicy": "IfNotPresent"}}
    arguments = (
        "upgrade",
        RELEASE,
        str(CHART),
        "--install",
        "--create-namespace",
        "--wait",
        "--timeout",
        "3m",
    )
    try:
        operator_helm(cluster, *arguments, values={**image, **(values or {})})
    except HelmError as failure:
        raise CommandError(f"{failure} (see: kubectl -n {NAMESPACE} describe pods)") from failure


def uninstall_operator(cluster: Cluster) -> None:
    """Remove the release. The CRD and the services stay: the chart keeps them on purpose."""
    operator_helm(cluster, "uninstall", RELEASE, "--wait")
