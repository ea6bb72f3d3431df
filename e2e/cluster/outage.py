"""Parts of the control plane of our own clusters that die and come back, with the data that they had or older data."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.cluster import control_plane
from e2e.cluster.api_client import ApiClient
from e2e.cluster.ledger import open_ledger
from e2e.cluster.processes import Process, Startup
from e2e.cluster.providers import OwnCluster
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec
from e2e.eventually import eventually

EVERYTHING = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


class ControlPlane:
    """The control plane of a running cluster."""

    def __init__(self, cluster: OwnCluster) -> None:
        self._spec: ClusterSpec = cluster.spec
        self._run = RunDir.of(cluster.name)

    @property
    def etcd(self) -> str:
        """Address of etcd's own API, which speaks JSON as well."""
        return f"http://127.0.0.1:{self._spec.ports.etcd}"

    @contextmanager
    def without(self, *parts: str) -> Iterator[None]:
        """Kill these parts at once, and start them again when the block ends, the last one killed first."""
        self.kill(parts)
        try:
            yield
        finally:
            self.start(parts)

    def kill(self, parts: Sequence[str]) -> None:
        """SIGKILL, and wait until they are gone."""
        for name in reversed(parts):
            process = self._process(name)
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

            def gone(process: Process = process) -> None:
                assert not process.alive

            eventually(gone, timeout=10)

    def start(self, parts: Sequence[str]) -> None:
        """Start them, in this order; returns when the API server is ready."""
        startup = Startup(self._run, open_ledger(self._spec, self._run), report=lambda _: None)
        netns = self._spec.control_plane_namespace if self._spec.nodes else ""
        commands = control_plane.commands(self._spec, self._run)
        for name in parts:
            startup.spawn(name, commands[name], part=control_plane.PART, netns=netns)
        with ApiClient(self._spec, self._run) as api:
            startup.wait("answer of /readyz", api.ready, blame="kube-apiserver")

    def copy_data(self, folder: Path) -> None:
        """What etcd knows now, for `put_back`."""
        with self.without(*EVERYTHING):
            shutil.copytree(self._data, folder, dirs_exist_ok=True)

    def put_back(self, folder: Path) -> None:
        """As after the restore of a backup: everything that happened since is forgotten."""
        with self.without(*EVERYTHING):
            shutil.rmtree(self._data)
            shutil.copytree(folder, self._data)

    @property
    def _data(self) -> Path:
        return self._run.path / "etcd"

    def _process(self, name: str) -> Process:
        return Process(name, int((self._run.pids / name).read_text()), self._run.logs / f"{name}.log")
