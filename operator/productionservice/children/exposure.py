"""By what way a service is reached from outside, and under which hosts."""

from __future__ import annotations

from enum import StrEnum

from productionservice.api import ProductionService
from productionservice.api.status import Problem
from productionservice.children.context import BuildContext, EdgeGateway, Pods

PLAIN_PORT, TLS_PORT = 80, 443


class Way(StrEnum):
    """What carries requests from outside to the service."""

    GATEWAY = "Gateway"
    INGRESS = "Ingress"


def way_of(service: ProductionService, context: BuildContext) -> Way:
    """As the spec says, else the platform's default, as far as the cluster serves it."""
    expose = service.spec.expose
    if expose is not None and expose.gateway is not None:
        return Way.GATEWAY
    if context.edge_gateway is None or (expose is not None and expose.ingress is not None):
        return Way.INGRESS
    fallen_back = "HTTPRoute" in context.absent and may_fall_back(service, context)
    return Way.INGRESS if fallen_back else Way.GATEWAY


def gateway_of(service: ProductionService, context: BuildContext) -> EdgeGateway | None:
    """The platform's Gateway that it joins. None where there is none, or the spec names one that is not offered."""
    expose = service.spec.expose
    if expose is None or expose.gateway is None:
        return context.edge_gateway
    named = (expose.gateway.namespace, expose.gateway.name)
    return next((each for each in offered(context) if (each.namespace, each.name) == named), None)


def offered(context: BuildContext) -> tuple[EdgeGateway, ...]:
    """The Gateways that a spec may name."""
    return (*([context.edge_gateway] if context.edge_gateway else []), *context.edge_gateways)


def refusal(service: ProductionService, context: BuildContext) -> str:
    """Why the Gateway that the spec names cannot be had, and what to write; empty when it can."""
    expose = service.spec.expose
    if expose is None or expose.gateway is None or gateway_of(service, context) is not None:
        return ""
    named = f"{expose.gateway.namespace}/{expose.gateway.name}"
    names = " or ".join(sorted({str(each) for each in offered(context)}))
    if not names:
        return f"spec.expose.gateway: the platform offers no Gateway, and so not {named}: leave it out"
    return f"spec.expose.gateway: the platform does not offer {named}: write {names}, or leave it out"


def may_fall_back(service: ProductionService, context: BuildContext) -> bool:
    """True where the spec leaves the way open and the platform has both."""
    expose = service.spec.expose
    both = bool(context.edge_gateway and context.edge_ingress_class)
    return both and expose is not None and expose.ingress is None and expose.gateway is None


def has_several_ways(service: ProductionService, context: BuildContext) -> bool:
    """True where it can move from one to another while it is served."""
    exposed = service.spec.expose is not None
    return exposed and (may_fall_back(service, context) or len(offered(context)) > 1)


def has_ingress(service: ProductionService, context: BuildContext) -> bool:
    """True when an Ingress leads to it: alone, or until routes do (ADR 0015)."""
    moving = context.moving and may_fall_back(service, context)
    return moving or way_of(service, context) is Way.INGRESS


def unheeded(service: ProductionService, context: BuildContext) -> list[Problem]:
    """What the spec asks of the edge, and an Ingress cannot do."""
    expose = service.spec.expose
    if expose is None or way_of(service, context) is not Way.INGRESS:
        return []
    asked = {"headers": bool(expose.headers), "timeoutSeconds": expose.timeout_seconds is not None}
    text = "has no effect: an Ingress has no field for it; let the service see to it, or expose it by Gateway API"
    return [Problem(field=f"spec.expose.{name}", message=text) for name, said in asked.items() if said]


def edge_pods(service: ProductionService, context: BuildContext) -> list[Pods]:
    """The pods that carry its requests; while it moves, those of both ways."""
    gateway = gateway_of(service, context) if way_of(service, context) is Way.GATEWAY else None
    by_gateway = [each.pods for each in (gateway, *context.leaving)] if gateway else []
    by_ingress = [context.edge_pods] if has_ingress(service, context) else []
    found: list[Pods] = []
    for pods in by_gateway + by_ingress:
        if pods not in found:
            found.append(pods)
    return found


def ingress_class(service: ProductionService, context: BuildContext) -> str:
    """The spec's, else the platform's; empty: the cluster's default."""
    expose = service.spec.expose
    return expose.ingress.class_name if expose and expose.ingress else context.edge_ingress_class


def held_hosts(service: ProductionService, context: BuildContext) -> tuple[str, ...]:
    """The hosts of the spec that no other service holds, in its order.

    None when it is not exposed, nor when it asks for a Gateway that is not offered.
    """
    expose = service.spec.expose
    if expose is None or refusal(service, context):
        return ()
    return tuple(host for host in expose.hosts if host not in context.taken)


def has_tls(service: ProductionService) -> bool:
    """True when it is served by HTTPS."""
    return service.spec.expose is not None and service.spec.expose.tls is not None


def secret_name(service: ProductionService) -> str:
    """The Secret that cert-manager keeps key and certificate in. No service and no child has a dot in its name."""
    return f"{service.metadata.name}.tls"
