"""Configuration of kubelet, kube-proxy and kube-router. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import DNS_DOMAIN, ClusterSpec, Node
from e2e.tools import tool

REGION = "e2e"


def kubelet_config(spec: ClusterSpec, run: RunDir, node: Node, folder: Path) -> dict[str, Any]:
    """KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    intervals = (
        {"nodeLeaseDurationSeconds": 8, "nodeStatusUpdateFrequency": "2s", "syncFrequency": "2s"}
        if spec.short_intervals
        else {}
    )
    # Eviction goes by the machine's disk and memory, which are not this cluster's to judge.
    eviction = dict.fromkeys(
        ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"), "0%"
    )
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{spec.cgroup}/n{node.index}",
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{folder / 'containerd.sock'}",
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "resolvConf": str(folder / "resolv.conf"),
        "clusterDNS": [spec.dns_address],
        "clusterDomain": DNS_DOMAIN,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(run.credentials / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(run.credentials / f"{node.name}.crt"),
        "tlsPrivateKeyFile": str(run.credentials / f"{node.name}.key"),
        "evictionHard": {"memory.available": "100Mi", **eviction},
        "imageGCHighThresholdPercent": 100,  # off: an image that was loaded by hand cannot be pulled again
        "serializeImagePulls": False,
        **intervals,
    }


def kubelet_command(run: RunDir, node: Node, folder: Path) -> list[str | Path]:
    """Command line; what KubeletConfiguration has no field for."""
    labels = f"topology.kubernetes.io/zone={node.zone},topology.kubernetes.io/region={REGION}"
    return [
        tool("kubelet"),
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={run.credentials / f'{node.name}.kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels={labels}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
    ]


def kube_proxy_config(spec: ClusterSpec, run: RunDir, node: Node) -> dict[str, Any]:
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(run.credentials / "kube-proxy.kubeconfig")},
        "hostnameOverride": node.name,
        "clusterCIDR": spec.pod_range,
        "oomScoreAdj": 0,
        # Sizes of connection tracking are the whole machine's: left alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def kube_router_command(spec: ClusterSpec, run: RunDir, node: Node) -> list[str | Path]:
    """Command line of kube-router, of which only the enforcement of NetworkPolicy is used."""
    return [
        tool("kube-router"),
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--run-loadbalancer=false",
        "--enable-cni=false",
        f"--kubeconfig={run.credentials / 'kube-router.kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--service-cluster-ip-range={spec.service_range}",
        "--iptables-sync-period=30s",  # a full pass beside those that changes trigger
        "--health-port=0",
        "--v=1",
    ]
