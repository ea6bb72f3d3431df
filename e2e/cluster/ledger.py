"""Which processes belong to a cluster: the truth that `down` goes by, kept by the kernel and not by us.

Levels with nodes run in cgroups of their own: whatever a daemon or a pod starts is in there too. On the
older cgroup v1 (and hybrid) there is one tree per controller, on v2 a single one. The v2 ledger follows the
kernel's rules (controllers are enabled top-down, processes only in leaves) but has not been exercised on the
machines that this project is developed on, which all have v1.

Level `api` needs no root, so it cannot have cgroups: its four programs carry a mark in their environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec
from e2e.progress import CommandError

_MARK = "PRODUCTIONSERVICE_CLUSTER"
_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 10.0  # seconds for killed processes to be gone; a killed pod takes about 0.05


class Ledger(Protocol):
    """Processes of one cluster. A `part` is a group below it, such as `control-plane` or `n1/daemons`."""

    def create(self, parts: Sequence[str]) -> None:
        """Make the groups."""

    def entries(self, part: str) -> list[Path]:
        """Files that a process writes its id into to be counted."""

    def environment(self) -> dict[str, str]:
        """Variables that a process must have to be counted."""

    def pids(self) -> set[int]:
        """All living processes of the cluster."""

    def remove(self) -> None:
        """Remove the groups, after `kill_all`."""


def open_ledger(spec: ClusterSpec, run: RunDir) -> Ledger:
    """The ledger that this level and this machine use."""
    if not spec.nodes:
        return EnvironmentLedger(run)
    if (_CGROUPS / "cgroup.controllers").exists():
        return CgroupV2Ledger(_CGROUPS, spec.cgroup)
    return CgroupV1Ledger(mounted_hierarchies(Path("/proc/self/mountinfo").read_text()), spec.cgroup)


def kill_all(ledger: Ledger) -> int:
    """Kill every process of the ledger and wait until they are gone. How many there were.

    All at once and without warning: a daemon that is asked to stop would clean up for seconds what is removed
    as a whole anyway, and one that sees another die would start it again.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while pids := ledger.pids() - {os.getpid()}:
        if time.monotonic() > deadline:
            raise CommandError(
                f"processes do not end: see: ps -o pid,stat,args {' '.join(map(str, sorted(pids)))}"
            )
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        seen |= pids
        time.sleep(0.02)
    return len(seen)


class EnvironmentLedger:
    """Processes that carry the run directory in their environment. For programs that start no others."""

    def __init__(self, run: RunDir) -> None:
        self._value = str(run.path)

    def create(self, parts: Sequence[str]) -> None:
        """There are no groups."""

    def entries(self, part: str) -> list[Path]:  # noqa: ARG002  # the interface's
        """No files."""
        return []

    def environment(self) -> dict[str, str]:
        """The mark."""
        return {_MARK: self._value}

    def pids(self) -> set[int]:
        """Processes with the mark; a dead one that nobody has waited for has no environment any more."""
        mark = f"{_MARK}={self._value}".encode()
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
        return found

    def remove(self) -> None:
        """Nothing to remove."""


class CgroupV1Ledger:
    """One tree per controller. Pods' cgroups are below the same parent, since the kubelet is told so."""

    # A daemon enters these; limits and accounting of the others are for containers, which runc puts into all.
    _ENTERED = frozenset({"pids", "freezer", "systemd"})

    def __init__(self, hierarchies: Sequence[Path], name: str) -> None:
        self._hierarchies, self._name = hierarchies, name

    def create(self, parts: Sequence[str]) -> None:
        """Make each part in every hierarchy."""
        for hierarchy in self._hierarchies:
            if hierarchy.name != "unified":
                for part in parts:
                    self._make(hierarchy, Path(self._name) / part)

    def entries(self, part: str) -> list[Path]:
        """One file per hierarchy that daemons enter."""
        entered = [h for h in self._hierarchies if self._ENTERED & set(h.name.split(","))]
        return [hierarchy / self._name / part / "cgroup.procs" for hierarchy in entered]

    def environment(self) -> dict[str, str]:
        """None needed."""
        return {}

    def pids(self) -> set[int]:
        """Processes in any hierarchy."""
        return _pids(hierarchy / self._name for hierarchy in self._hierarchies)

    def remove(self) -> None:
        """Remove the trees."""
        for hierarchy in self._hierarchies:
            _remove_tree(hierarchy / self._name)

    def _make(self, hierarchy: Path, relative: Path) -> None:
        for folder in reversed([relative, *relative.parents[:-1]]):
            path = hierarchy / folder
            path.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # A new cpuset is empty, and then no process may enter it.
                if (path / setting).exists() and not (path / setting).read_text().strip():
                    (path / setting).write_text((path.parent / setting).read_text())


class CgroupV2Ledger:
    """The single tree. See the module's text: written after the kernel's documentation, never exercised."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name

    def create(self, parts: Sequence[str]) -> None:
        """Make each part, with every controller enabled on the way down to it."""
        for part in parts:
            *inner, _ = Path(self._name, part).parts
            self._enable(self._root)
            path = self._root
            for step in inner:
                path /= step
                path.mkdir(exist_ok=True)
                self._enable(path)
            (self._root / self._name / part).mkdir(exist_ok=True)

    def entries(self, part: str) -> list[Path]:
        """One file."""
        return [self._root / self._name / part / "cgroup.procs"]

    def environment(self) -> dict[str, str]:
        """None needed."""
        return {}

    def pids(self) -> set[int]:
        """Processes anywhere in the tree."""
        return _pids([self._root / self._name])

    def remove(self) -> None:
        """Remove the tree."""
        _remove_tree(self._root / self._name)

    def _enable(self, folder: Path) -> None:
        available = (folder / "cgroup.controllers").read_text().split()
        enabled = (folder / "cgroup.subtree_control").read_text().split()
        wanted = [controller for controller in available if controller not in enabled]
        try:
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
        except OSError as error:
            # EBUSY: processes are in this very cgroup, as in a container that is its own cgroup's root.
            raise CommandError(
                f"cannot enable {' '.join(wanted)} in {folder}/cgroup.subtree_control ({error.strerror}): "
                "run this outside of a container, or move the processes of that cgroup into a child first"
            ) from error


def mounted_hierarchies(mountinfo: str) -> list[Path]:
    """Mount points of all cgroup trees, the unified one of a hybrid machine among them."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in {"cgroup", "cgroup2"}:
            found.append(Path(before.split()[4]))
    return found


def _pids(trees: Iterable[Path]) -> set[int]:
    found: set[int] = set()
    for tree in trees:
        for folder, _, _ in os.walk(tree):
            with suppress(OSError):  # a pod's cgroup may go while we look
                found |= {int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()}
    return found


def _remove_tree(tree: Path) -> None:
    """Remove cgroups bottom-up. One whose last process has just died is busy for a moment."""
    deadline = time.monotonic() + _PATIENCE
    for folder, _, _ in os.walk(tree, topdown=False):
        while True:
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"cannot remove the cgroup {folder}: {error.strerror}") from error
                time.sleep(0.02)
            else:
                break
