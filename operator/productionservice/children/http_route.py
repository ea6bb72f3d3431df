"""From a host to the service, by Gateway API."""

from __future__ import annotations

from typing import Any

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, EdgeGateway, Manifest
from productionservice.children.exposure import Way, gateway_of, has_tls, held_hosts, way_of
from productionservice.contract import SERVICE_PORT
from productionservice.effective import Effective
from productionservice.names import child_name

HSTS = "max-age=31536000"
"""A year; without subdomains, which may be other people's."""


def build_http_route(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> tuple[Manifest, ...] | None:
    """None without hosts. With `tls` the platform's Gateway redirects, and the service's own leads to the pods."""
    hosts, gateway = held_hosts(service, context), gateway_of(service, context)
    if not hosts or gateway is None or way_of(service, context) is not Way.GATEWAY:
        return None
    name = child_name(service.metadata.name)
    platform = [_platforms(each) for each in (gateway, *context.leaving)]
    if not has_tls(service):
        return (_route(name, platform, hosts, _to_the_service(service)),)
    return (
        _route(f"{name}.redirect", platform, hosts, {"filters": [_REDIRECT]}),
        _route(name, [_gateway(name)], hosts, _to_the_service(service)),
    )


_REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}


def _gateway(name: str) -> dict[str, str]:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}


def _platforms(gateway: EdgeGateway) -> dict[str, str]:
    return {**_gateway(gateway.name), "namespace": gateway.namespace, "sectionName": gateway.listener}


def _route(
    name: str, parents: list[dict[str, str]], hosts: tuple[str, ...], rule: dict[str, Any]
) -> Manifest:
    """The prefix is the shortest there is: the path of a challenge, which cert-manager adds, goes before it."""
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    return {
        "metadata": {"name": name},
        "spec": {"parentRefs": parents, "hostnames": list(hosts), "rules": [{"matches": matches, **rule}]},
    }


def _to_the_service(service: ProductionService) -> dict[str, Any]:
    name, expose = child_name(service.metadata.name), service.spec.expose
    backend = {"group": "", "kind": "Service", "name": name, "port": SERVICE_PORT, "weight": 1}
    seconds = expose.timeout_seconds if expose else None
    limit = {"timeouts": {"request": f"{seconds}s"}} if seconds else {}
    return {"filters": [_headers(service)], "backendRefs": [backend], **limit}


def _headers(service: ProductionService) -> dict[str, Any]:
    """Whatever the service itself answers: a browser never guesses a type, and keeps to HTTPS once it was there.

    These two have one right value, which prodkit says too; what depends on the service (Content-Security-Policy,
    Referrer-Policy) would undo the service's own choice, and is set only when the spec says so.
    """
    headers = [("X-Content-Type-Options", "nosniff")]
    if has_tls(service):
        headers.append(("Strict-Transport-Security", HSTS))
    expose = service.spec.expose
    headers += [(header.name, header.value) for header in expose.headers] if expose else []
    last = {name.lower(): (name, value) for name, value in headers}
    values = [{"name": name, "value": value} for name, value in last.values()]
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": values}}
