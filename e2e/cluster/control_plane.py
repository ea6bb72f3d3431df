"""etcd, API server, controller manager and scheduler: their command lines, and their start."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from e2e.cluster.api_client import ApiClient
from e2e.cluster.processes import Startup
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import DNS_DOMAIN, ClusterSpec, Ports
from e2e.tools import tool

AUDIT_POLICY = Path(__file__).with_name("audit-policy.yaml")
PART = "control-plane"


def free_ports() -> Ports:
    """Free ports on loopback: all held open while the next is chosen, so that no two are the same."""
    with ExitStack() as stack:
        found = []
        for _ in range(5):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(int(listener.getsockname()[1]))
    return Ports(*found)


def commands(spec: ClusterSpec, run: RunDir) -> dict[str, list[str | Path]]:
    """Component → command line, in the order of their start. Each waits by itself for the one before."""
    return {
        "etcd": _etcd(spec, run),
        "kube-apiserver": _api_server(spec, run),
        "kube-controller-manager": _controller_manager(spec, run),
        "kube-scheduler": _scheduler(spec, run),
    }


def start(spec: ClusterSpec, startup: Startup, api: ApiClient) -> None:
    """Start all four; returns when the API server is ready."""
    netns = spec.control_plane_namespace if spec.nodes else ""
    etcd, api_server, *others = commands(spec, startup.run).items()
    for name, command in (etcd, api_server):
        startup.spawn(name, command, part=PART, netns=netns)
    startup.wait("answer of /readyz", api.ready, blame="kube-apiserver")
    startup.milestone("API server ready")
    # Not before: a client that meets a closed port, or no roles yet, tries again only after a second or more.
    for name, command in others:
        startup.spawn(name, command, part=PART, netns=netns)


def wait_controllers(startup: Startup, api: ApiClient) -> None:
    """Wait until controllers work: one of them makes this account, without which no pod can be created."""
    startup.wait(
        "default service account",
        lambda: api.exists("/api/v1/namespaces/default/serviceaccounts/default"),
        blame="kube-controller-manager",
    )
    startup.milestone("controllers work")


def _etcd(spec: ClusterSpec, run: RunDir) -> list[str | Path]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (spec.ports.etcd, spec.ports.etcd_peer))
    return [
        tool("etcd"),
        f"--data-dir={run.path / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # the data dies with the cluster; a power cut may take it
        "--log-level=warn",
    ]


def _api_server(spec: ClusterSpec, run: RunDir) -> list[str | Path]:
    keys = run.credentials
    # On loopback there is no address that pods could use; the endpoints of `kubernetes` stay empty.
    reachable = [] if spec.nodes else ["--endpoint-reconciler-type=none"]
    return [
        tool("kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{spec.ports.etcd}",
        f"--bind-address={'0.0.0.0' if spec.nodes else '127.0.0.1'}",
        f"--advertise-address={spec.control_plane_address}",
        *reachable,
        f"--secure-port={spec.ports.api_server}",
        f"--service-cluster-ip-range={spec.service_range}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--tls-cert-file={keys / 'api-server.crt'}",
        f"--tls-private-key-file={keys / 'api-server.key'}",
        f"--kubelet-certificate-authority={keys / 'ca.crt'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
        f"--service-account-key-file={keys / 'service-account.pub'}",
        f"--service-account-signing-key-file={keys / 'service-account.key'}",
        f"--requestheader-client-ca-file={keys / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={keys / 'front-proxy-client.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # Webhooks and aggregated APIs are called at their pods: the control plane has no kube-proxy.
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={run.audit_log}",
        "--audit-log-maxsize=2000",  # MB; a rotation would lose what a test counts
        "--profiling=false",
    ]


def _controller_manager(spec: ClusterSpec, run: RunDir) -> list[str | Path]:
    keys = run.credentials
    node_loss = (
        ["--node-monitor-period=1s", "--node-monitor-grace-period=10s"] if spec.short_intervals else []
    )
    return [
        tool("kube-controller-manager"),
        *_client_flags(keys / "controller-manager.kubeconfig", spec.ports.controller_manager, keys),
        f"--root-ca-file={keys / 'ca.crt'}",
        f"--cluster-signing-cert-file={keys / 'ca.crt'}",
        f"--cluster-signing-key-file={keys / 'ca.key'}",
        f"--service-account-private-key-file={keys / 'service-account.key'}",
        f"--flex-volume-plugin-dir={run.path / 'flex'}",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",  # a node's range is fixed by its place; see ClusterSpec.nodes
        *node_loss,
    ]


def _scheduler(spec: ClusterSpec, run: RunDir) -> list[str | Path]:
    keys = run.credentials
    return [
        tool("kube-scheduler"),
        *_client_flags(keys / "scheduler.kubeconfig", spec.ports.scheduler, keys),
    ]


def _client_flags(kubeconfig: Path, port: int, keys: Path) -> list[str]:
    """What controller manager and scheduler have in common."""
    return [
        *(f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={keys / 'control-plane.crt'}",
        f"--tls-private-key-file={keys / 'control-plane.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--requestheader-client-ca-file={keys / 'front-proxy-ca.crt'}",
        "--leader-elect=false",  # there is only one; an election costs two seconds
        "--kube-api-qps=500",  # the default throttle costs four seconds of the start
        "--kube-api-burst=1000",
        "--profiling=false",
    ]
