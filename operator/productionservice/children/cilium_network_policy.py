"""Which hosts the pods may call by name. Consumed by Cilium, beside the NetworkPolicy, which knows addresses only.

Both add up in Cilium: a host is closed until this policy opens it, and without Cilium it stays so. Checked against the
CRD and the documentation of Cilium 1.20 ("DNS based", "DNS Policy and IP Discovery", "Deny Policies").
"""

from __future__ import annotations

from typing import Any

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.api.v1alpha1 import EgressPeer
from productionservice.children.context import BuildContext, Manifest
from productionservice.effective import NEVER_REACHED, Effective
from productionservice.names import child_name


def build_cilium_network_policy(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest | None:
    """None when the spec names no host.

    Whoever answers for a name decides where it leads, also to where a node's credentials are handed out. What is
    denied goes before what is allowed.
    """
    hosts = [peer for peer in service.spec.network.allow_to if peer.fqdn]
    if not hosts:
        return None
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "endpointSelector": {"matchLabels": labels.selector_labels(service.metadata.name)},
            "egress": [_dns(context), *map(_host, hosts)],
            "egressDeny": [{"toCIDR": [str(range_) for range_ in NEVER_REACHED]}],
        },
    }


def _host(peer: EgressPeer) -> dict[str, Any]:
    how = "matchPattern" if "*" in (peer.fqdn or "") else "matchName"
    return {
        "toFQDNs": [{how: peer.fqdn}],
        "toPorts": [{"ports": [_port(peer.port or 0, peer.protocol.value)]}],
    }


def _dns(context: BuildContext) -> dict[str, Any]:
    """Cilium learns the addresses of a host from the answers of the cluster's DNS, which it reads by this rule.

    Every name may be asked for, as everywhere: to refuse all but the hosts would take the names of the cluster's own
    services, and those with a search domain behind them that are tried first, from the pods.
    """
    resolver = {
        "k8s:io.kubernetes.pod.namespace": context.dns_namespace,
        **{f"k8s:{key}": value for key, value in sorted(context.dns_labels.items())},
    }
    ports = [_port(port, protocol) for port in context.dns_ports for protocol in ("UDP", "TCP")]
    return {
        "toEndpoints": [{"matchLabels": resolver}],
        "toPorts": [{"ports": ports, "rules": {"dns": [{"matchPattern": "*"}]}}],
    }


def _port(port: int, protocol: str) -> dict[str, str]:
    """The port as text: so Cilium has it."""
    return {"port": str(port), "protocol": protocol}
