"""CRDs of other projects, as their own Go modules ship them: pinned by go.mod, checked by go.sum, never copied here."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Protocol

from e2e.eventually import eventually
from e2e.progress import CommandError
from e2e.tools.builder import go, go_environment
from e2e.tools.cache import locked
from e2e.tools.pins import pinned_in

PLACES = {
    "prometheus-operator": (
        "github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd",
    ),
    "cert-manager": ("github.com/cert-manager/cert-manager", "deploy/crds"),
    "gateway-api": ("sigs.k8s.io/gateway-api", "config/crd/standard"),
    "cilium": ("github.com/cilium/cilium", "pkg/k8s/apis/cilium.io/client/crds/v2"),
}  # fmt: skip
"""Which module has the CRDs of a project, and in which folder."""


def crd_files(project: str) -> list[Path]:
    """The project's CRDs, one file each, downloaded on first use. Raises CommandError when that fails."""
    module, folder = PLACES[project]
    here = Path(__file__).parent
    command = [go(), "mod", "download", "-json", f"{module}@{pinned_in(here / 'go.mod', module)}"]
    with locked("go.lock"):
        finished = subprocess.run(
            command, cwd=here, env=go_environment(), capture_output=True, text=True, check=False
        )
    answer = json.loads(finished.stdout or "{}")
    if finished.returncode or "Dir" not in answer:
        raise CommandError(
            f"the CRDs of {project} could not be downloaded: {answer.get('Error') or finished.stderr.strip()}"
        )
    files = sorted((Path(answer["Dir"]) / folder).glob("*.yaml"))
    return [file for file in files if file.name != "kustomization.yaml"]


class Kubectl(Protocol):
    """What is needed of a cluster."""

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl; raises when it fails."""
        ...


def install(cluster: Kubectl, project: str, *plurals: str) -> None:
    """Install the project's CRDs, or only those of some kinds, and wait until they are served."""
    files = [f for f in crd_files(project) if not plurals or f.stem.rpartition("_")[2] in plurals]
    for file in files:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    for file in files:
        if "CustomResourceDefinition" in file.read_text():
            wait_established(cluster, file)


def install_every_kind(cluster: Kubectl) -> None:
    """Install the CRDs of every optional kind of child, and no others."""
    install(cluster, "prometheus-operator", "servicemonitors")
    install(cluster, "gateway-api", "gateways", "httproutes")
    install(cluster, "cert-manager", "certificates")
    install(cluster, "cilium", "ciliumnetworkpolicies")


def wait_established(cluster: Kubectl, file: Path) -> None:
    """Wait until the CRD of a file is served. `kubectl wait` fails at once for one that has no conditions yet."""
    command = ("wait", "--for=condition=Established", "--timeout=30s", "-f", str(file))
    eventually(functools.partial(cluster.kubectl, *command))
