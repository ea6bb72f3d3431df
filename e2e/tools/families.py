"""Which programs the test cluster is made of. Versions stand in each family's go.mod, sums in its go.sum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Family:
    """Programs that are built together from one go.mod."""

    name: str
    programs: tuple[str, ...]
    targets: tuple[str, ...]
    """Go packages, one a program, in the same order."""
    minutes: float
    """Measured on two idle cores with empty caches (docs/cluster.md)."""
    tags: tuple[str, ...] = ()
    stamped: str | None = None
    """Module whose version is stamped into the programs; without it they call themselves v0.0.0-master."""

    @property
    def folder(self) -> Path:
        """Where go.mod stands."""
        return FOLDER / self.name

    def version(self, module: str) -> str:
        """Version of `module` in go.mod, for example `v1.36.3`."""
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
        if not found:
            raise LookupError(f"{module} is not in {self.folder / 'go.mod'}")
        return found.group(1)

    def linker_flags(self) -> str:
        """Strip symbols, and stamp the version where the program wants one."""
        if self.stamped is None:
            return "-s -w"
        version = self.version(self.stamped)
        major, minor, _ = version.lstrip("v").split(".", 2)
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        return "-s -w " + " ".join(f"-X {p}.{key}={value}" for p in packages for key, value in values.items())

    def key(self) -> str:
        """Digest of everything that decides the result: pins, own sources, flags."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(repr((self.targets, self.tags, self.linker_flags())).encode())
        return digest.hexdigest()[:16]


def _kubernetes(programs: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"k8s.io/kubernetes/cmd/{program}" for program in programs)


_KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")

FAMILIES = {
    family.name: family
    for family in (
        Family("etcd", ("etcd",), ("go.etcd.io/etcd/server/v3",), 0.6),
        Family("kube", _KUBE, _kubernetes(_KUBE), 4.7, stamped="k8s.io/kubernetes"),
        Family(
            "containerd",
            ("containerd", "containerd-shim-runc-v2", "ctr"),
            tuple(
                f"github.com/containerd/containerd/v2/cmd/{program}"
                for program in ("containerd", "containerd-shim-runc-v2", "ctr")
            ),
            0.8,
            tags=("no_btrfs", "no_zfs", "no_devmapper", "no_aufs"),
        ),
        Family("coredns", ("coredns",), (".",), 0.8),
        Family("pause", ("pause",), (".",), 0.1),
        Family(
            "kube-router",
            ("kube-router",),
            ("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",),
            1.3,
        ),
        Family("helm", ("helm",), ("helm.sh/helm/v4/cmd/helm",), 1.6),
    )
}

API_LEVEL = ("etcd", "kube")
NODE_LEVEL = (*API_LEVEL, "containerd", "coredns", "pause", "kube-router")
