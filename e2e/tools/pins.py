"""What is built, from which module, with which flags.

Versions are in each family's go.mod, hashes in its go.sum.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from e2e.progress import CommandError

MODULES = Path(__file__).parent


def pinned(family: str, module: str) -> str:
    """Version of `module` in the family's go.mod, for example `v1.36.3`."""
    return pinned_in(MODULES / family / "go.mod", module)


def pinned_in(file: Path, module: str) -> str:
    """Version of `module` in a go.mod."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", file.read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{module} is not in {file}")
    return found[1]


_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_PROMETHEUS = "github.com/prometheus/prometheus"
KUBERNETES = pinned("kube", "k8s.io/kubernetes")


@dataclass(frozen=True)
class Family:
    """Programs that one Go module builds.

    `programs` maps the program's name to its Go package ("." is the module's own main); `minutes` is how
    long a build takes with empty caches on two idle cores (measured: docs/cluster.md).
    """

    name: str
    programs: dict[str, str]
    minutes: float
    tags: str = ""
    stamps: tuple[str, ...] = ()
    experiments: str = ""
    """What a module needs of Go that is not yet its default, as GOEXPERIMENT has it."""

    @property
    def folder(self) -> Path:
        """Folder with the family's go.mod."""
        return MODULES / self.name

    @property
    def flags(self) -> list[str]:
        """Arguments of `go build` that decide what comes out."""
        linker = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)])
        return [
            "-trimpath",
            "-buildvcs=false",
            f"-ldflags={linker}",
            *([f"-tags={self.tags}"] if self.tags else []),
        ]

    @property
    def key(self) -> str:
        """Changes when a pin, our own source or a flag changes; names the family's folder in the cache."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum", "main.go"):
            path = self.folder / name
            digest.update(f"{name}\0".encode() + (path.read_bytes() if path.exists() else b"") + b"\0")
        for path in sorted(self.folder.glob("*/*.go")):
            digest.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes() + b"\0")
        digest.update(repr((sorted(self.programs.items()), self.flags)).encode() + self.experiments.encode())
        return f"{self.name}-{digest.hexdigest()[:12]}"


def _kubernetes_stamps() -> tuple[str, ...]:
    """Without them the programs say v0.0.0, and version skew checks between them refuse to work."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    return tuple(
        f"{package}.{field}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for field, value in (
            ("gitVersion", KUBERNETES), ("gitMajor", major), ("gitMinor", minor), ("gitTreeState", "clean"),
        )
    )  # fmt: skip


def prometheus_version() -> str:
    """Version as its releases and images say it: 3.15.1 is the module's v0.315.1."""
    _, minor, patch = pinned("prometheus", _PROMETHEUS).split(".")
    return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"


def _prometheus_stamp(version: str) -> str:
    return f"github.com/prometheus/common/version.Version={version}"


_KUBE_PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy",
)  # fmt: skip
_KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
_METRICS_SERVER = "sigs.k8s.io/metrics-server"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_CERT_MANAGER_PROGRAMS = (
    "cert-manager-controller", "cert-manager-webhook", "cert-manager-cainjector", "cert-manager-acmesolver",
)  # fmt: skip
_PEBBLE = "github.com/letsencrypt/pebble/v2/cmd"
_CONTAINERD = "github.com/containerd/containerd/v2/cmd"

FAMILIES = {
    family.name: family
    for family in (
        Family("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, 0.6),
        Family(
            "kube",
            {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBE_PROGRAMS},
            5,
            stamps=_kubernetes_stamps(),
        ),
        Family(
            "containerd",
            {name: f"{_CONTAINERD}/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            1,
            tags="no_btrfs,no_zfs,no_devmapper,no_aufs",
        ),
        Family("kube-router", {"kube-router": f"{_KUBE_ROUTER}/cmd/kube-router"}, 1.5),
        Family("coredns", {"coredns": "."}, 1),
        Family("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, 1.5),
        Family("pause", {"pause": "."}, 0.2),
        Family("probe", {"probe": "."}, 0.3),
        Family("go-controller", {"go-controller": "."}, 2),
        Family("collector", {"collector": "."}, 1),
        Family("compose", {"compose-config": "."}, 0.3),
        Family(
            "metrics-server",
            {"metrics-server": f"{_METRICS_SERVER}/cmd/metrics-server"},
            3,
            stamps=(f"k8s.io/client-go/pkg/version.gitVersion={pinned('metrics-server', _METRICS_SERVER)}",),
        ),
        Family(
            "cert-manager",
            # Mains of our own: the project's are modules of their own, which it does not publish.
            {name: f"{_CERT_MANAGER}/e2e/{name}" for name in _CERT_MANAGER_PROGRAMS},
            4,
            stamps=(f"{_CERT_MANAGER}/pkg/util.AppVersion={pinned('cert-manager', _CERT_MANAGER)}",),
        ),
        Family(
            "prometheus-operator",
            {
                "prometheus-operator": f"{_PROMETHEUS_OPERATOR}/cmd/operator",
                "prometheus-config-reloader": f"{_PROMETHEUS_OPERATOR}/cmd/prometheus-config-reloader",
            },
            2.5,
            stamps=(
                _prometheus_stamp(pinned("prometheus-operator", _PROMETHEUS_OPERATOR).removeprefix("v")),
            ),
        ),
        Family(
            "prometheus",
            {"prometheus": f"{_PROMETHEUS}/cmd/prometheus"},
            6,
            tags="remove_all_sd,enable_kubernetes_sd",  # it finds pods only; the clouds' SDKs are left out
            stamps=(_prometheus_stamp(prometheus_version()),),
        ),
        Family("pebble", {name: f"{_PEBBLE}/{name}" for name in ("pebble", "pebble-challtestsrv")}, 0.5),
        Family("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}, 0.3),
        Family("kube-score", {"kube-score": "github.com/zegl/kube-score/cmd/kube-score"}, 1),
        Family("conftest", {"conftest": "github.com/open-policy-agent/conftest"}, 3),
        Family("trivy-kubernetes", {"trivy-kubernetes": "."}, 1, experiments="jsonv2"),
    )
}


def family_of(program: str) -> Family:
    """The family that builds `program`. Raises CommandError naming the known ones."""
    for family in FAMILIES.values():
        if program in family.programs:
            return family
    known = sorted(name for family in FAMILIES.values() for name in family.programs)
    raise CommandError(f"no tool {program!r}: use one of {', '.join(known)}")
