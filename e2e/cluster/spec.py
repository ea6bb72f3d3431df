"""What one cluster is: its name, its level, and every name and address that follows from them. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum

from e2e.progress import CommandError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
SLOTS = range(16)
_FIRST_BLOCK = 77  # 10.77.0.0/16 to 10.92.0.0/16: seldom used by home routers, VPNs or Docker
MOST_NODES = 20  # addresses allow 60; far more than two cores carry
DNS_DOMAIN = "cluster.local"


def check_name(name: str) -> None:
    """Raise CommandError when it cannot be a cluster's name: it becomes part of paths that are removed."""
    if not _NAME.fullmatch(name):
        raise CommandError(f"cluster name {name!r}: use 1 to 24 lower-case letters, digits and inner hyphens")


class Level(StrEnum):
    """How much of Kubernetes runs. Each level has all of the one before it."""

    API = "api"
    """etcd, API server, controller manager and scheduler on loopback. Any user."""
    NODE = "node"
    """One node: containers, network, DNS, network policies. Root."""
    NODES = "nodes"
    """Two or more nodes in labelled zones. Root."""


NODES = {Level.API: 0, Level.NODE: 1, Level.NODES: 3}
"""How many nodes there are unless somebody says otherwise; three are in three zones."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of the control plane: free ones on loopback at level `api`, the usual ones in a namespace."""

    api_server: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259


@dataclass(frozen=True)
class Node:
    """One node. `index` starts at 1."""

    name: str
    index: int
    address: str
    pod_range: str
    zone: str


@dataclass(frozen=True)
class ClusterSpec:
    """Parameters of one cluster.

    `slot` picks the block of addresses, so that clusters can run beside each other. `short_intervals` makes a
    lost node Unknown after 10 s instead of 50 s, and changed Secrets and ConfigMaps reach pods in 3 s instead
    of 80 s, for some idle CPU.
    """

    name: str
    level: Level
    node_count: int = 0
    slot: int = 0
    ports: Ports = Ports()
    short_intervals: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.slot not in SLOTS:
            raise CommandError(f"slot {self.slot}: use {SLOTS.start} to {SLOTS.stop - 1}")
        least, most = {Level.API: (0, 0), Level.NODE: (1, 1), Level.NODES: (2, MOST_NODES)}[self.level]
        if not least <= self.node_count <= most:
            wanted = f"use {least} to {most}" if least < most else f"it has {least}, leave the number out"
            raise CommandError(f"{self.node_count} nodes at level {self.level}: {wanted}")

    @property
    def block(self) -> str:
        """All addresses of the cluster are in this range."""
        return f"10.{_FIRST_BLOCK + self.slot}.0.0/16"

    def _address(self, third: int, fourth: int) -> str:
        return f"10.{_FIRST_BLOCK + self.slot}.{third}.{fourth}"

    @property
    def control_plane_address(self) -> str:
        """Where the API server listens."""
        return self._address(0, 1) if self.nodes else "127.0.0.1"

    @property
    def host_address(self) -> str:
        """The host's own address in the cluster's network (levels with nodes)."""
        return self._address(0, 254)

    @property
    def pod_range(self) -> str:
        """Range of all pods; each node has a /24 of it."""
        return f"{self._address(64, 0)}/18"

    @property
    def service_range(self) -> str:
        """Range of cluster IPs."""
        return f"{self._address(128, 0)}/17"

    @property
    def api_service_address(self) -> str:
        """Cluster IP of the Service `kubernetes`: the first of the range, by Kubernetes' own rule."""
        return str(ipaddress.ip_network(self.service_range)[1])

    @property
    def dns_address(self) -> str:
        """Cluster IP of the cluster's DNS; the tenth of the range, as everywhere."""
        return str(ipaddress.ip_network(self.service_range)[10])

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.control_plane_address}:{self.ports.api_server}"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Nodes in order. Zones alternate a, b, c, a…: two nodes are in two zones."""
        return tuple(
            Node(
                name=f"{self.name}-node{index}",
                index=index,
                address=self._address(0, 10 + index),
                pod_range=f"{self._address(63 + index, 0)}/24",
                zone=f"zone-{'abc'[(index - 1) % 3]}",
            )
            for index in range(1, self.node_count + 1)
        )

    @property
    def control_plane_namespace(self) -> str:
        """Network namespace with the switch and the control plane."""
        return f"psvc.{self.name}.cp"

    def namespace(self, node: Node) -> str:
        """Network namespace of a node. The dots keep `a` and `a-b` apart."""
        return f"psvc.{self.name}.n{node.index}"

    @property
    def host_interface(self) -> str:
        """The host's end of the cable into the cluster's switch."""
        return f"psvc{self.slot}"

    @property
    def cgroup(self) -> str:
        """Parent of all the cluster's cgroups, relative to each hierarchy."""
        return f"psvc.{self.name}"

    def to_json(self) -> str:
        """Text for the run directory."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ClusterSpec:
        """What `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "level": Level(fields["level"]), "ports": Ports(**fields["ports"])})
