"""containerd of one node: its configuration, its start and its images."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import host
from e2e.cluster.archives import PAUSE, architecture
from e2e.cluster.processes import Process, Startup
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec, Node
from e2e.packages import SYSTEM_PATH
from e2e.progress import CommandError
from e2e.tools import tool


@dataclass(frozen=True)
class Containers:
    """The container runtime of one node. Everything it writes is below `folder`."""

    spec: ClusterSpec
    run: RunDir
    node: Node

    @property
    def folder(self) -> Path:
        """The node's directory."""
        return self.run.path / f"n{self.node.index}"

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    @property
    def resolver(self) -> Path:
        """resolv.conf of the node and of pods that ask for the node's: nobody answers there."""
        return self.folder / "resolv.conf"

    @property
    def component(self) -> str:
        """Name of its process and log."""
        return f"containerd-n{self.node.index}"

    def start(self, startup: Startup) -> Process:
        """Start containerd in the node's namespaces and wait until it listens."""
        (self.folder / "cni").mkdir(parents=True)
        self.resolver.write_text(f"nameserver {self.spec.control_plane_address}\n")
        (self.folder / "containerd.toml").write_text(self._config())
        (self.folder / "cni" / "10-bridge.conflist").write_text(json.dumps(self._network(), indent=1))
        command: list[str | Path] = [
            tool("containerd"),
            "--config",
            self.folder / "containerd.toml",
            "--log-level",
            "info",
        ]
        process = startup.spawn(
            self.component,
            [
                "unshare",
                "--mount",
                "--propagation=private",
                "sh",
                "-c",
                self._private_mounts(),
                "sh",
                *command,
            ],
            part=f"n{self.node.index}/daemons",
            netns=self.spec.namespace(self.node),
        )
        startup.wait(f"containerd of {self.node.name}", self._listens, blame=self.component)
        return process

    def load(self, archive: Path) -> None:
        """Import an image archive. Raises CommandError."""
        finished = subprocess.run(
            [
                tool("ctr"), "--address", self.socket, "--namespace", "k8s.io",
                "images", "import", "--platform", f"linux/{architecture()}", archive,
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if finished.returncode:
            reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CommandError(f"{self.node.name} cannot import {archive}: {reason}")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
        return True

    def _private_mounts(self) -> str:
        """Shell text that hides the machine's folders behind the node's own, for a process and its children.

        Shared again afterwards, since volumes with mount propagation need that; the machine sees none of it.
        """
        lines = []
        for point in host.MOUNT_POINTS:
            own = self.folder / "private" / point.relative_to("/")
            own.mkdir(parents=True)
            lines.append(f"mount --bind {shlex.quote(str(own))} {point}")
        # The machine's name server cannot be reached from here: a pull would wait for it for half a minute
        # instead of failing at once, as one from a registry that lacks the image does.
        lines.append(f"mount --bind {shlex.quote(str(self.resolver))} /etc/resolv.conf")
        return " && ".join([*lines, "mount --make-rshared /", 'exec "$@"'])

    def _config(self) -> str:
        runc = shutil.which("runc", path=SYSTEM_PATH)
        return f"""version = 3
root = "{self.folder}/root"
state = "{self.folder}/state"

[grpc]
address = "{self.socket}"

[ttrpc]
address = "{self.socket}.ttrpc"

[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"

[plugins.'io.containerd.cri.v1.runtime']
disable_apparmor = true
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{host.cni_folder()}"]
conf_dir = "{self.folder}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
Root = "{self.folder}/runc"
SystemdCgroup = false
"""

    def _network(self) -> dict[str, object]:
        """CNI configuration: a bridge, addresses of the node's range, host ports.

        No masquerading: it would hide a pod's address from pods of other nodes, and network policies that
        select pods would never match.
        """
        addresses = {
            "type": "host-local",
            "dataDir": str(self.folder / "addresses"),
            "ranges": [[{"subnet": self.node.pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": addresses,
        }
        plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
