"""Where a cluster keeps everything that it writes, and the lock over all clusters of this user."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.spec import ClusterSpec, check_name
from e2e.progress import CommandError
from e2e.tools import cache_dir


def run_root() -> Path:
    """Parent of all run directories of this user. Short: paths of Unix sockets end at 107 bytes."""
    if os.geteuid() == 0:
        return Path("/run/productionservice-e2e")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "productionservice-e2e"
    return Path(tempfile.gettempdir()) / f"productionservice-e2e-{os.geteuid()}"


@contextmanager
def root_lock() -> Iterator[Path]:
    """Hold the lock over all clusters of this user; yields the run root, and removes it when it is empty.

    The lock is on the directory itself, so that nothing has to stay behind for it.
    """
    root = run_root()
    while True:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same_directory(root, handle):
                yield root
                with suppress(OSError):
                    root.rmdir()
                return
        finally:
            os.close(handle)


def _same_directory(path: Path, handle: int) -> bool:
    """Whether the directory that we locked is still the one at `path`: its last owner may have removed it."""
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class RunDir:
    """The directory of one cluster. On a memory file system for root: nothing waits for a disk."""

    path: Path

    @classmethod
    def of(cls, name: str) -> RunDir:
        """The directory of the cluster `name`, there or not. Raises CommandError for a bad name."""
        check_name(name)
        return cls(run_root() / name)

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator."""
        return self.credentials / "admin.kubeconfig"

    @property
    def credentials(self) -> Path:
        """Folder of certificates, keys and kubeconfigs."""
        return self.path / "credentials"

    @property
    def logs(self) -> Path:
        """Folder of one log a component."""
        return self.path / "logs"

    @property
    def pids(self) -> Path:
        """Folder of one file a component, with its process id."""
        return self.path / "pids"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line."""
        return self.path / "audit.log"

    @property
    def saved_logs(self) -> Path:
        """Where logs of a cluster that failed are kept after it is gone."""
        return cache_dir() / "logs" / self.path.name

    def create(self, spec: ClusterSpec) -> None:
        """Make the directory. The spec is the first thing in it: by it `down` knows what to look for."""
        self.path.mkdir(mode=0o755)
        if os.geteuid() == 0:
            options = ["-t", "tmpfs", "-o", "mode=755", "productionservice-e2e", str(self.path)]
            finished = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
            if finished.returncode:
                self.path.rmdir()
                raise CommandError(f"cannot mount a tmpfs on {self.path}: {finished.stderr.strip()}")
        (self.path / "spec.json").write_text(spec.to_json())
        (self.path / "owner").write_text(f"{os.getpid()} {_start_of(os.getpid())}")
        for folder in (self.logs, self.pids):
            folder.mkdir()

    def spec(self) -> ClusterSpec | None:
        """The cluster's parameters, or None when the directory is not there or was never finished."""
        try:
            return ClusterSpec.from_json((self.path / "spec.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    @property
    def complete(self) -> bool:
        """Whether the start came to its end."""
        return (self.path / "complete").exists()

    def mark_complete(self) -> None:
        """Say that the start came to its end."""
        (self.path / "complete").touch()

    def owner(self) -> int | None:
        """Process that is starting the cluster now, or None."""
        try:
            pid, start = (self.path / "owner").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        # Its number may have been given to another process since.
        return int(pid) if not self.complete and _start_of(int(pid)) == start else None

    def save_logs(self) -> None:
        """Copy the logs to where they outlive the cluster, over those of the last failure."""
        shutil.rmtree(self.saved_logs, ignore_errors=True)
        with suppress(FileNotFoundError):
            shutil.copytree(self.logs, self.saved_logs)

    def remove(self) -> None:
        """Unmount and remove it. Processes that were just killed may hold it for some milliseconds more."""
        deadline = time.monotonic() + 10
        while os.path.ismount(self.path):
            finished = subprocess.run(["umount", self.path], capture_output=True, text=True, check=False)
            if finished.returncode and time.monotonic() > deadline:
                raise CommandError(
                    f"cannot unmount {self.path}: {finished.stderr.strip()}; "
                    f"see who uses it: fuser -vm {self.path}"
                )
            if finished.returncode:
                time.sleep(0.05)
        shutil.rmtree(self.path, ignore_errors=True)


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's ticks since boot; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def known_clusters() -> list[str]:
    """Names of all clusters of this user, whole or half started."""
    root = run_root()
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.exists() else []
