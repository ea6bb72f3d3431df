"""Nodes: containerd, kubelet, kube-proxy and kube-router of each, in its own namespaces."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from threading import Event

from e2e.cluster import control_plane, dns
from e2e.cluster.api_client import ApiClient
from e2e.cluster.archives import coredns_image, pause_image
from e2e.cluster.containers import Containers
from e2e.cluster.node_config import (
    kube_proxy_config,
    kube_router_command,
    kubelet_command,
    kubelet_config,
)
from e2e.cluster.processes import Process, Startup
from e2e.cluster.spec import ClusterSpec
from e2e.tools import tool


def start_nodes(spec: ClusterSpec, startup: Startup, api: ApiClient) -> None:
    """Start the control plane and all nodes, side by side where they do not need each other."""
    runtimes = [Containers(spec, startup.run, node) for node in spec.nodes]
    archives = [pause_image(), coredns_image()]
    ready = Event()
    startup.together(
        partial(_start_control_plane, spec, startup, api, ready),
        *(partial(_start_node, runtime, startup, api, archives, ready) for runtime in runtimes),
    )
    startup.wait("answer of DNS", partial(dns.resolves, spec), blame="kubelet-n1")
    startup.milestone("DNS answers")


def _start_control_plane(spec: ClusterSpec, startup: Startup, api: ApiClient, ready: Event) -> None:
    control_plane.start(spec, startup, api)
    ready.set()
    dns.create_dns(spec, api)
    control_plane.wait_controllers(startup, api)


def _start_node(
    runtime: Containers, startup: Startup, api: ApiClient, archives: list[Path], ready: Event
) -> None:
    containerd = _prepare(runtime, startup, archives)
    startup.wait("API server that lets nodes join", ready.is_set, blame="kube-apiserver")
    _join(runtime, containerd, startup, api)


def _prepare(runtime: Containers, startup: Startup, archives: list[Path]) -> Process:
    """Everything of a node that needs no API server."""
    process = runtime.start(startup)
    for archive in archives:
        runtime.load(archive)
    startup.milestone(f"{runtime.node.name}: containerd has its images")
    return process


def _join(runtime: Containers, containerd: Process, startup: Startup, api: ApiClient) -> None:
    """Start the rest of the node and wait until it is Ready."""
    spec, run, node, folder = runtime.spec, runtime.run, runtime.node, runtime.folder
    part, netns = f"n{node.index}/daemons", spec.namespace(node)
    (folder / "kubelet.json").write_text(json.dumps(kubelet_config(spec, run, node, folder), indent=1))
    (folder / "kube-proxy.json").write_text(json.dumps(kube_proxy_config(spec, run, node), indent=1))
    kubelet = f"kubelet-n{node.index}"
    # In containerd's view of the file system: they hand mounts to each other.
    inside = ["nsenter", f"--mount=/proc/{containerd.pid}/ns/mnt"]
    startup.spawn(kubelet, [*inside, *kubelet_command(run, node, folder)], part=part, netns=netns)
    proxy: list[str | Path] = [tool("kube-proxy"), f"--config={folder / 'kube-proxy.json'}"]
    startup.spawn(f"kube-proxy-n{node.index}", proxy, part=part, netns=netns)
    path = f"/api/v1/nodes/{node.name}"
    startup.wait(f"node {node.name}", lambda: api.exists(path), blame=kubelet)
    # kube-router reads the range from here.
    api.merge(path, {"spec": {"podCIDR": node.pod_range, "podCIDRs": [node.pod_range]}})
    startup.spawn(f"kube-router-n{node.index}", kube_router_command(spec, run, node), part=part, netns=netns)
    startup.wait(f"Ready of {node.name}", lambda: _is_ready(api, path), blame=kubelet)
    startup.milestone(f"{node.name}: Ready in {node.zone}")


def _is_ready(api: ApiClient, path: str) -> bool:
    conditions = api.get(path)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
