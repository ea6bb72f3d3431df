"""Who may talk to the pods, and to whom they may talk. Everything else is denied, both ways.

Probes need no rule: a pod's own node always reaches it (Kubernetes documentation, "Network Policies").
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.api.v1alpha1 import EgressPeer, IngressPeer
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.pod import TRAFFIC_PORT
from productionservice.effective import Effective
from productionservice.names import child_name

NEVER = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"), ip_network("fd00:ec2::254/128"))
"""Link-local ranges, where clouds hand out credentials of the node, and AWS's address for that over IPv6."""
DNS_PORT = 53


def build_network_policy(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest:
    """Default deny with DNS and the declared peers allowed."""
    network = service.spec.network
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "podSelector": {"matchLabels": labels.selector_labels(service.metadata.name)},
            "policyTypes": ["Ingress", "Egress"],
            **({"ingress": [_ingress(network.allow_from)]} if network.allow_from else {}),
            "egress": [_dns(context), *(_egress(peer) for peer in network.allow_to)],
        },
    }


def _ingress(peers: Sequence[IngressPeer]) -> dict[str, Any]:
    return {
        "from": [_service(p.service) if p.service else _cidr(p.cidr or "") for p in peers],
        "ports": [_port(TRAFFIC_PORT)],
    }


def _egress(peer: EgressPeer) -> dict[str, Any]:
    if peer.service:
        return {"to": [_service(peer.service)], "ports": [_port(TRAFFIC_PORT)]}
    ports = {"ports": [_port(peer.port, peer.protocol.value)]} if peer.port else {}
    return {"to": [_cidr(peer.cidr or "")], **ports}


def _dns(context: BuildContext) -> dict[str, Any]:
    resolver = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": context.dns_namespace}},
        "podSelector": {"matchLabels": dict(sorted(context.dns_labels.items()))},
    }
    return {"to": [resolver], "ports": [_port(DNS_PORT, "UDP"), _port(DNS_PORT)]}


def _service(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels.selector_labels(name)}}


def _cidr(cidr: str) -> dict[str, Any]:
    """An address range without the parts of it that nobody may reach."""
    network = ip_network(cidr)
    holes = [str(hole) for hole in NEVER if _contains(network, hole)]
    return {"ipBlock": {"cidr": cidr, **({"except": holes} if holes else {})}}


def _contains(network: IPv4Network | IPv6Network, part: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(part, IPv4Network) and part.subnet_of(network)
    return isinstance(part, IPv6Network) and part.subnet_of(network)


def _port(port: int | str, protocol: str = "TCP") -> dict[str, Any]:
    return {"port": port, "protocol": protocol}
