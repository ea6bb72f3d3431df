"""The HTTPS listeners of a service, where its Secret can be (ADR 0015)."""

from __future__ import annotations

from typing import Any

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.exposure import (
    TLS_PORT,
    Way,
    gateway_of,
    has_tls,
    held_hosts,
    secret_name,
    way_of,
)
from productionservice.effective import Effective
from productionservice.names import child_name


def build_gateway(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest | None:
    """None without `tls`: plain HTTP is for the platform's Gateway."""
    hosts, beside = held_hosts(service, context), gateway_of(service, context)
    if not has_tls(service) or not hosts or beside is None or way_of(service, context) is not Way.GATEWAY:
        return None
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "gatewayClassName": beside.class_name,
            "listeners": [_listener(host, secret_name(service)) for host in hosts],
        },
    }


def _listener(host: str, secret: str) -> dict[str, Any]:
    """Named like its host, so that another order of the hosts renames none. Routes of other namespaces stay out."""
    return {
        "name": host,
        "hostname": host,
        "port": TLS_PORT,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": secret}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
