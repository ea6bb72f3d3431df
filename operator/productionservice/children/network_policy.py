"""Who may talk to the pods, and to whom they may talk. Everything else is denied, both ways.

Probes need no rule: a pod's own node always reaches it (Kubernetes documentation, "Network Policies").
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.api.v1alpha1 import EgressPeer, IngressPeer, Monitor
from productionservice.children.context import BuildContext, Manifest, Pods
from productionservice.children.exposure import edge_pods, held_hosts
from productionservice.children.pod import TRAFFIC_PORT, metrics_port_name
from productionservice.effective import NEVER_REACHED, Effective, contains
from productionservice.names import child_name

_DNS_PORT = 53  # of whatever is asked by an address: no Service translates it


def build_network_policy(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest:
    """Default deny with DNS and the declared peers allowed."""
    network = service.spec.network
    ingress = [
        *([_ingress(network.allow_from)] if network.allow_from else []),
        *_edge(service, context),
        *_scraping(service, context),
    ]
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "podSelector": {"matchLabels": labels.selector_labels(service.metadata.name)},
            "policyTypes": ["Ingress", "Egress"],
            # Left out when empty, since applying an empty list is a write each time; `diff` guards it all the same.
            **({"ingress": ingress} if ingress else {}),
            # Hosts are no business of this kind, which knows no names: they stay closed here.
            "egress": [*_dns(context), *(_egress(peer) for peer in network.allow_to if not peer.fqdn)],
        },
    }


def _ingress(peers: Sequence[IngressPeer]) -> dict[str, Any]:
    return {
        "from": [_service(p.service) if p.service else {"ipBlock": {"cidr": p.cidr}} for p in peers],
        "ports": [_port(TRAFFIC_PORT)],
    }


def _edge(service: ProductionService, context: BuildContext) -> list[dict[str, Any]]:
    """Whatever carries requests from outside may reach the traffic port of a service that is exposed."""
    if not held_hosts(service, context):
        return []
    peers = [_pods(pods) for pods in edge_pods(service, context)]
    return [{"from": peers, "ports": [_port(TRAFFIC_PORT)]}]


def _scraping(service: ProductionService, context: BuildContext) -> list[dict[str, Any]]:
    """Whoever scrapes may reach the metrics' port, and no other."""
    if service.spec.observability.metrics.monitor is Monitor.OFF:
        return []
    namespace = {"kubernetes.io/metadata.name": context.monitoring_namespace}
    peer = {"namespaceSelector": {"matchLabels": namespace}}
    return [{"from": [peer], "ports": [_port(metrics_port_name(service.spec))]}]


def _egress(peer: EgressPeer) -> dict[str, Any]:
    if peer.service:
        return {"to": [_service(peer.service)], "ports": [_port(TRAFFIC_PORT)]}
    cidr, port = peer.cidr or "", peer.port or 0  # compute_effective has refused a peer without them
    return {"to": [_reachable(cidr)], "ports": [_port(port, peer.protocol.value)]}


def _dns(context: BuildContext) -> list[dict[str, Any]]:
    resolver = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": context.dns_namespace}},
        "podSelector": {"matchLabels": dict(sorted(context.dns_labels.items()))},
    }
    on_the_node = [{"ipBlock": {"cidr": str(ip_network(address))}} for address in context.dns_addresses]
    rules = [_asked([resolver], context.dns_ports)]
    return [*rules, _asked(on_the_node, (_DNS_PORT,))] if on_the_node else rules


def _asked(peers: list[dict[str, Any]], ports: tuple[int, ...]) -> dict[str, Any]:
    return {"to": peers, "ports": [_port(port, protocol) for port in ports for protocol in ("UDP", "TCP")]}


def _pods(pods: Pods) -> dict[str, Any]:
    peer: dict[str, Any] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": pods.namespace}}
    }
    if pods.labels:
        peer["podSelector"] = {"matchLabels": dict(sorted(pods.labels.items()))}
    return peer


def _service(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels.selector_labels(name)}}


def _reachable(cidr: str) -> dict[str, Any]:
    """An address range without the parts of it that nobody may reach."""
    holes = [str(hole) for hole in NEVER_REACHED if contains(ip_network(cidr), hole)]
    return {"ipBlock": {"cidr": cidr, **({"except": holes} if holes else {})}}


def _port(port: int | str, protocol: str = "TCP") -> dict[str, Any]:
    return {"port": port, "protocol": protocol}
