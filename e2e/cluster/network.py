"""Network namespaces, cables and routes of one cluster.

The control plane's namespace holds the switch; nodes and the host are plugged into it. Pods of a node are
reached by way of that node, and cluster IPs by way of the first one, whose kube-proxy translates. So the host
reaches the API server, pods, services and DNS with nothing else.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from e2e.cluster.spec import SLOTS, ClusterSpec, Level, Node
from e2e.progress import CommandError

_BRIDGE = "switch"
_PREFIX = 24


def free_slot(taken: Iterable[int]) -> int:
    """First slot that neither another cluster has nor a route of this machine is in."""
    routes = json.loads(_ip(["-json", "-4", "route", "show", "table", "all"]) or "[]")
    used = [network for route in routes if (network := _network(route.get("dst", "")))]
    blocked = set(taken)
    for slot in SLOTS:
        block = ipaddress.IPv4Network(ClusterSpec("free", Level.NODE, 1, slot).block)
        if slot not in blocked and not any(network.subnet_of(block) for network in used):
            return slot
    raise CommandError(
        "no free address block for another cluster: take one down with python -m e2e.cluster down"
    )


def create(spec: ClusterSpec) -> None:
    """Make all of it."""
    _batch(_host_commands(spec))
    _batch(_control_plane_commands(spec), spec.control_plane_namespace)
    _forward(spec.control_plane_namespace, bridge_filter=False)
    for node in spec.nodes:
        _batch(_node_commands(spec, node), spec.namespace(node))
        _forward(spec.namespace(node), bridge_filter=True)


def remove(spec: ClusterSpec) -> None:
    """Remove all of it. What is not there is no error."""
    for name in [*(spec.namespace(node) for node in spec.nodes), spec.control_plane_namespace]:
        if Path("/run/netns", name).exists():
            _ip(["netns", "delete", name])
    # Its other end was in a namespace: the kernel may have removed it already, or may be about to.
    with suppress(CommandError):
        _ip(["link", "delete", spec.host_interface])


def plug(spec: ClusterSpec, name: str, *, connected: bool) -> None:
    """Plug the cable of one node into the switch, or pull it: nothing gets to that node and its pods then."""
    node = next(node for node in spec.nodes if node.name == name)
    state = "up" if connected else "down"
    _batch([f"link set {_port(node)} {state}"], spec.control_plane_namespace)


def _host_commands(spec: ClusterSpec) -> list[str]:
    switch = spec.control_plane_namespace
    cables = [
        f"link add {spec.host_interface} type veth peer name host netns {switch}",
        *(
            f"link add eth0 netns {spec.namespace(n)} type veth peer name {_port(n)} netns {switch}"
            for n in spec.nodes
        ),
    ]
    return [
        f"netns add {switch}",
        *(f"netns add {spec.namespace(node)}" for node in spec.nodes),
        *cables,
        f"address add {spec.host_address}/{_PREFIX} dev {spec.host_interface}",
        f"link set {spec.host_interface} up",
        *_pod_routes(spec),
        _service_route(spec),
    ]


def _control_plane_commands(spec: ClusterSpec) -> list[str]:
    ports = ["host", *(_port(node) for node in spec.nodes)]
    return [
        "link set lo up",
        f"link add {_BRIDGE} type bridge",
        f"address add {spec.control_plane_address}/{_PREFIX} dev {_BRIDGE}",
        f"link set {_BRIDGE} up",
        *(f"link set {port} master {_BRIDGE} up" for port in ports),
        *_pod_routes(spec),
        _service_route(spec),
    ]


def _node_commands(spec: ClusterSpec, node: Node) -> list[str]:
    return [
        "link set lo up",
        f"address add {node.address}/{_PREFIX} dev eth0",
        "link set eth0 up",
        f"route add default via {spec.control_plane_address}",
        *_pod_routes(spec, besides=node),
    ]


def _pod_routes(spec: ClusterSpec, besides: Node | None = None) -> list[str]:
    return [f"route add {n.pod_range} via {n.address}" for n in spec.nodes if n != besides]


def _service_route(spec: ClusterSpec) -> str:
    return f"route add {spec.service_range} via {spec.nodes[0].address}"


def _port(node: Node) -> str:
    return f"node{node.index}"


def _forward(namespace: str, *, bridge_filter: bool) -> None:
    """Let the namespace forward packets.

    On nodes, packets between two pods pass the packet filter too: kube-proxy's translation and the network
    policies need that. The switch must not filter.
    """
    setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    script = (
        f"echo 1 >/proc/sys/net/ipv4/ip_forward; test ! -e {setting} || echo {int(bridge_filter)} >{setting}"
    )
    _run(["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c", script])


def _network(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:  # "default" and the like
        return None


def _batch(commands: list[str], namespace: str = "") -> None:
    where = ["-netns", namespace] if namespace else []
    _run(["ip", *where, "-batch", "-"], "\n".join(commands))


def _ip(arguments: list[str]) -> str:
    return _run(["ip", *arguments])


def _run(command: list[str], text: str = "") -> str:
    finished = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommandError(f"{' '.join(command)} failed: {finished.stderr.strip()} (input: {text or 'none'})")
    return finished.stdout
