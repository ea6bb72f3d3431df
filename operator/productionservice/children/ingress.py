"""From a host to the service, by Ingress."""

from __future__ import annotations

from typing import Any

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.exposure import has_ingress, has_tls, held_hosts, ingress_class, secret_name
from productionservice.contract import SERVICE_PORT
from productionservice.effective import Effective
from productionservice.names import child_name


def build_ingress(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest | None:
    """None without hosts. Nothing but what every controller understands: no annotations."""
    hosts = held_hosts(service, context)
    if not hosts or not has_ingress(service, context):
        return None
    name = child_name(service.metadata.name)
    tls = {"hosts": list(hosts), "secretName": secret_name(service)}
    return {
        "metadata": {"name": name},
        "spec": {
            **_class(service, context),
            "rules": [_rule(host, name) for host in hosts],
            **({"tls": [tls]} if has_tls(service) else {}),
        },
    }


def _rule(host: str, name: str) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"number": SERVICE_PORT}}}
    return {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}


def _class(service: ProductionService, context: BuildContext) -> dict[str, Any]:
    """Left out, the cluster's default is filled in."""
    chosen = ingress_class(service, context)
    return {"ingressClassName": chosen} if chosen else {}
