"""One shape for every cluster that tests run on: ours, kind, or whatever a kubeconfig leads to.

The shape is that of pytest-kind's `KindCluster`, with one difference: `.api` is the `kubernetes` package's
ApiClient, since that is the client this project's tests use; pytest-kind's is pykube's.

`CLUSTER=ours|kind|existing` chooses. Without it, kind where Docker answers, else ours. The kind path cannot
be exercised where no Docker runs, so it only creates, deletes and loads images; everything else is shared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.cluster import lifecycle, network
from e2e.cluster.images import load_image
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import NODES, ClusterSpec, Level
from e2e.images import docker
from e2e.progress import CommandError
from e2e.tools import tool
from e2e.tools.pins import KUBERNETES
from e2e.tools.wheels import KUBECTL, wheel_program

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

ROOT = Path(__file__).parents[2]
_KIND_CONFIG = ROOT / "kind-config.yaml"
_KIND_AUDIT_LOG = ROOT / "build" / "kind-audit" / "audit.log"  # kind-config.yaml mounts the folder
_KIND_VERSION = "v0.32.0"  # the release whose node images kind-config.yaml names
_PROVIDERS = ("ours", "kind", "existing")


class Cluster(ABC):
    """A cluster that can be made, used and removed."""

    def __init__(self, name: str, level: Level) -> None:
        self.name, self.level = name, level

    @property
    @abstractmethod
    def kubeconfig_path(self) -> Path:
        """Kubeconfig of an administrator."""

    @property
    @abstractmethod
    def kubectl_path(self) -> Path:
        """A kubectl that fits."""

    @property
    @abstractmethod
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line. Raises CommandError where there is none."""

    @abstractmethod
    def create(self) -> None:
        """Bring the cluster up; one that is up is used as it is."""

    @abstractmethod
    def delete(self) -> None:
        """Take the cluster down; harmless when there is none."""

    @abstractmethod
    def load_docker_image(self, image: str) -> None:
        """Put an image on every node: a name that the local builder knows, or a docker-archive file."""

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Output of kubectl; `options` as of subprocess.run. Raises a CalledProcessError."""
        return self._kubectl.run(*arguments, **options)

    def port_forward(
        self,
        service_or_pod_name: str,
        remote_port: int,
        *arguments: str,
        local_port: int | None = None,
        retries: int = 10,
    ) -> AbstractContextManager[int]:
        """Context with the local port that leads to a pod's or Service's port."""
        return self._kubectl.port_forward(
            service_or_pod_name, remote_port, *arguments, local_port=local_port, retries=retries
        )

    @cached_property
    def api(self) -> ApiClient:
        """Client of the `kubernetes` package."""
        from kubernetes import config  # noqa: PLC0415  # half a second that the command line does not need

        load: Callable[..., ApiClient] = config.new_client_from_config
        return load(str(self.kubeconfig_path))

    @abstractmethod
    def cut_off(self, node: str) -> AbstractContextManager[None]:
        """Nothing reaches this node, and it reaches nothing, while the context lasts.

        Raises CommandError where the nodes are not ours.
        """

    def save_logs(self) -> Path | None:
        """Keep the components' logs beyond the cluster's end. Where they are, if there are any."""
        return None

    @property
    def _kubectl(self) -> Kubectl:
        return Kubectl(self.kubectl_path, self.kubeconfig_path)

    def _close(self) -> None:
        """Give back the connections of `api`, if it was used."""
        if client := self.__dict__.pop("api", None):
            client.rest_client.pool_manager.clear()
            client.close()


class OwnCluster(Cluster):
    """A cluster of this package."""

    def __init__(self, name: str, level: Level, nodes: int, *, short_intervals: bool) -> None:
        super().__init__(name, level)
        self._wanted = ClusterSpec(name, level, nodes, short_intervals=short_intervals)
        self._run = RunDir.of(name)

    @property
    def spec(self) -> ClusterSpec:
        """Names and addresses of the running cluster. Raises CommandError when it is not up."""
        spec = self._run.spec()
        if spec is None:
            raise CommandError(f"{self.name} is not up: python -m e2e.cluster up --name {self.name}")
        return spec

    @property
    def kubeconfig_path(self) -> Path:
        """In the run directory."""
        return self._run.kubeconfig

    @property
    def kubectl_path(self) -> Path:
        """Built with the API server, from the same pins."""
        return tool("kubectl")

    @property
    def audit_log(self) -> Path:
        """In the run directory."""
        return self._run.audit_log

    def create(self) -> None:
        """Bring it up, or use the one that is up."""
        lifecycle.up(self._wanted)

    def delete(self) -> None:
        """Take it down."""
        self._close()
        lifecycle.down(self.name)

    def load_docker_image(self, image: str) -> None:
        """Import it with containerd."""
        load_image(self.spec, self._run, image)

    @contextmanager
    def cut_off(self, node: str) -> Iterator[None]:
        """Its cable is pulled. Not that of the first node, through which the host reaches Services."""
        network.plug(self.spec, node, connected=False)
        try:
            yield
        finally:
            network.plug(self.spec, node, connected=True)

    def save_logs(self) -> Path | None:
        """Copy them to the cache."""
        self._run.save_logs()
        return self._run.saved_logs


class KindProvider(Cluster):
    """pytest-kind's cluster, with this repository's kind-config.yaml. One serves all levels."""

    def __init__(self, name: str, level: Level) -> None:
        super().__init__(name, level)
        os.environ.setdefault("KIND_VERSION", _KIND_VERSION)
        os.environ.setdefault("KUBECTL_VERSION", KUBERNETES)
        from pytest_kind import KindCluster  # type: ignore[import-untyped]  # noqa: PLC0415  # untyped; reads the above

        self._kind = KindCluster(name)

    @property
    def kubeconfig_path(self) -> Path:
        """In pytest-kind's folder."""
        return Path(self._kind.kubeconfig_path)

    @property
    def kubectl_path(self) -> Path:
        """pytest-kind's download."""
        self._kind.ensure_kubectl()
        return Path(self._kind.kubectl_path)

    @property
    def audit_log(self) -> Path:
        """In the folder that kind-config.yaml mounts."""
        return _KIND_AUDIT_LOG

    def create(self) -> None:
        """Create it, or use the one that is there."""
        _KIND_AUDIT_LOG.parent.mkdir(parents=True, exist_ok=True)
        self._kind.create(_KIND_CONFIG)
        # The API server writes the log as root, for root only.
        control_plane = f"{self.name}-control-plane"
        command = ["docker", "exec", control_plane, "chmod", "-R", "a+rX", "/var/log/kubernetes"]
        subprocess.run(command, check=True)

    def delete(self) -> None:
        """Delete it."""
        self._close()
        self._kind.ensure_kind()
        self._kind.delete()

    def load_docker_image(self, image: str) -> None:
        """`kind load`, of an archive or of a name that Docker knows."""
        if Path(image).is_file():
            command = [str(self._kind.kind_path), "load", "image-archive", "--name", self.name, image]
            subprocess.run(command, check=True)
        else:
            self._kind.load_docker_image(image)

    @contextmanager
    def cut_off(self, node: str) -> Iterator[None]:
        """Its container is frozen."""
        subprocess.run(["docker", "pause", node], check=True)
        try:
            yield
        finally:
            subprocess.run(["docker", "unpause", node], check=True)


class ExistingCluster(Cluster):
    """The cluster of the current kubeconfig. It is neither made nor removed here."""

    @property
    def kubeconfig_path(self) -> Path:
        """The first of `$KUBECONFIG`, else the usual one."""
        return Path(os.environ.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube" / "config")

    @property
    def kubectl_path(self) -> Path:
        """The machine's, else the pinned wheel's."""
        found = shutil.which("kubectl")
        return Path(found) if found else wheel_program(KUBECTL)

    @property
    def audit_log(self) -> Path:
        """Where `$AUDIT_LOG` says."""
        if path := os.environ.get("AUDIT_LOG"):
            return Path(path)
        raise CommandError("this test reads the API server's audit log: set AUDIT_LOG=/path/to/audit.log")

    def cut_off(self, node: str) -> AbstractContextManager[None]:
        """Never: others may use it."""
        raise CommandError(
            f"{self.name} is not ours, so {node} stays in it: use CLUSTER=ours or kind for this"
        )

    def create(self) -> None:
        """Check that it answers."""
        if not self.kubeconfig_path.exists():
            raise CommandError(f"no kubeconfig {self.kubeconfig_path}: set KUBECONFIG, or CLUSTER=ours")
        self.kubectl("version", "--output=json", timeout=30)

    def delete(self) -> None:
        """Leave it."""
        self._close()

    def load_docker_image(self, image: str) -> None:
        """Nothing to load into: its nodes pull from a registry."""
        print(f"the cluster of {self.kubeconfig_path} has to pull {image} from a registry that it can reach")


@cache
def provider() -> str:
    """`ours`, `kind` or `existing`. Raises CommandError for another value of CLUSTER."""
    chosen = os.environ.get("CLUSTER", "")
    if chosen and chosen not in _PROVIDERS:
        raise CommandError(f"CLUSTER={chosen}: use {', '.join(_PROVIDERS)}, or leave it out")
    return chosen or ("kind" if docker.answers() else "ours")


def open_cluster(
    name: str, level: str = Level.NODE, *, nodes: int | None = None, short_intervals: bool = False
) -> Cluster:
    """The cluster `name`, not yet up: call `create()`. `nodes` and `short_intervals` are for ours only."""
    wanted = Level(level)
    match provider():
        case "kind":
            return KindProvider(name, wanted)
        case "existing":
            return ExistingCluster(name, wanted)
        case _:
            count = NODES[wanted] if nodes is None else nodes
            return OwnCluster(name, wanted, count, short_intervals=short_intervals)


def describe(level: str) -> str:
    """What tests of a level run on, for reports."""
    match provider():
        case "kind":
            return f"kind {_KIND_VERSION} with kind-config.yaml"
        case "existing":
            return f"the cluster of {ExistingCluster('existing', Level(level)).kubeconfig_path}"
        case _:
            return f"Kubernetes {KUBERNETES} of e2e/cluster, level {level}"
