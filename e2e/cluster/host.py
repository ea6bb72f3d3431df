"""What clusters need of the machine, and what they change on it: put back when the last one goes."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from e2e.cluster.rundir import run_root
from e2e.packages import need
from e2e.progress import CommandError

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
# Folders that containerd and the kubelet have built in. Each node mounts its own over them, out of sight of
# the machine; the mount points have to exist.
MOUNT_POINTS = (
    Path("/run/containerd"), Path("/run/nri"), Path("/var/log/containers"),
    Path("/var/lib/kubelet"), Path("/var/lib/cni"),
)  # fmt: skip
_NETNS = Path("/run/netns")  # `ip netns` mounts it over itself on first use
# Watches of files: the usual 128 for all processes of a user are used up by three clusters, and then programs
# end with "too many open files".
_LEAST = {"fs/inotify/max_user_instances": 1024, "fs/inotify/max_user_watches": 524288}
# The kubelet sets the others for the whole machine.
SETTINGS = (
    "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes", *_LEAST,
)  # fmt: skip
_SYSCTL = "/proc/sys"
_PACKAGES = {
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
}


def need_packages() -> None:
    """Install what nodes use of Debian. Raises CommandError naming the packages where that cannot be."""
    plugins = {} if cni_folder() else {str(CNI_FOLDERS[0] / "bridge"): "containernetworking-plugins"}
    need(_PACKAGES | plugins)
    with suppress(FileNotFoundError):  # no modprobe: then the kernel has what it has
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        raise CommandError("the kernel module br_netfilter is missing: load it with modprobe br_netfilter")


def cni_folder() -> Path | None:
    """Where the CNI plugins are."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), None)


def remember() -> None:
    """Before a cluster with nodes: note what is going to change, raise limits, make mount points.

    What was noted for an earlier cluster that is still there stands.
    """
    missing = [str(folder) for point in (*MOUNT_POINTS, _NETNS) for folder in _missing(point)]
    noted: dict[str, Any] = {"made": missing, "netns": _is_mount(_NETNS), "settings": {}}
    if _memory().exists():
        noted = json.loads(_memory().read_text())
    current = {name: text for name in SETTINGS if (text := _setting(name)) is not None}
    noted["settings"] = current | noted["settings"]
    _memory().write_text(json.dumps(noted))
    for name, least in _LEAST.items():
        if int(current.get(name, least)) < least:
            Path(_SYSCTL, name).write_text(str(least))
    for point in MOUNT_POINTS:
        point.mkdir(parents=True, exist_ok=True)


def restore() -> None:
    """After the last cluster: put back what `remember` noted."""
    if not _memory().exists():
        return
    noted = json.loads(_memory().read_text())
    for name, text in noted["settings"].items():
        if _setting(name) != text:
            Path(_SYSCTL, name).write_text(text)
    if not noted["netns"] and _is_mount(_NETNS) and not any(_NETNS.iterdir()):
        subprocess.run(["umount", _NETNS], capture_output=True, check=False)
    for folder in reversed(noted["made"]):
        with suppress(OSError):  # somebody else uses it by now
            Path(folder).rmdir()
    _memory().unlink()


def _memory() -> Path:
    return run_root() / "host.json"


def _is_mount(path: Path) -> bool:
    """Also true for a folder that is mounted over itself, as this one is; Path.is_mount compares devices."""
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _setting(name: str) -> str | None:
    try:
        return Path(_SYSCTL, name).read_text()
    except FileNotFoundError:
        return None


def _missing(path: Path) -> list[Path]:
    """Folders that `mkdir -p path` would make, outermost first."""
    return [folder for folder in reversed([path, *path.parents]) if not folder.exists()]
