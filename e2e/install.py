"""Put the operator into a cluster the way its users do: images, then the Helm chart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from e2e import images
from e2e.cluster.providers import Cluster
from e2e.progress import CommandError
from e2e.tools import tool

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "productionservice-operator"
NAMESPACE = "productionservice-system"
RELEASE = "productionservice-operator"
OPERATOR_IMAGE = "docker.io/productionservice/operator"
SERVICE_IMAGE = "docker.io/productionservice/catalog"
TAG = "v0.1.0"


def load_images(cluster: Cluster) -> None:
    """Build both images (warm: nothing to do) and put them on every node."""
    archives = [images.build_image("operator", TAG), images.build_image("service", TAG)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda archive: cluster.load_docker_image(str(archive)), archives))


def helm(cluster: Cluster, *arguments: str) -> str:
    """Output of Helm against this cluster. Raises CommandError with Helm's last line."""
    command = [str(tool("helm")), "--kubeconfig", str(cluster.kubeconfig_path), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommandError(f"helm {arguments[0]} failed: {finished.stderr.strip().splitlines()[-1]}")
    return finished.stdout


def install_operator(cluster: Cluster, values: Mapping[str, Any] | None = None) -> None:
    """Install or upgrade the chart and wait until its pods are ready."""
    image = {"image": {"repository": OPERATOR_IMAGE, "tag": TAG, "pullPolicy": "IfNotPresent"}}
    merged = json.dumps({**image, **(values or {})})
    finished = subprocess.run(
        [
            str(tool("helm")), "--kubeconfig", str(cluster.kubeconfig_path),
            "upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace",
            "--values", "-", "--wait", "--timeout", "3m",
        ],
        input=merged, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode:
        raise CommandError(
            f"helm could not install the operator: {finished.stderr.strip().splitlines()[-1]} "
            f"(see: kubectl -n {NAMESPACE} describe pods)"
        )


def uninstall_operator(cluster: Cluster) -> None:
    """Remove the release. The CRD and the services stay: the chart keeps them on purpose."""
    helm(cluster, "uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
