"""The certificate of a service that is reached by HTTPS. Consumed by cert-manager."""

from __future__ import annotations

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.exposure import held_hosts, secret_name
from productionservice.effective import Effective
from productionservice.names import child_name


def build_certificate(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest | None:
    """None without `tls`, and while other services hold all of its hosts.

    Each renewal makes a new private key (ADR 0015).
    """
    expose, hosts = service.spec.expose, held_hosts(service, context)
    if expose is None or expose.tls is None or not hosts:
        return None
    issuer = expose.tls.issuer
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "secretName": secret_name(service),
            "dnsNames": list(hosts),
            "issuerRef": {"group": "cert-manager.io", "kind": issuer.kind.value, "name": issuer.name},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        },
    }
