"""Exposed: does the edge lead the hosts to the service?"""

from __future__ import annotations

from dataclasses import replace

from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.children.exposure import (
    Way,
    gateway_of,
    has_tls,
    held_hosts,
    ingress_class,
    may_fall_back,
    refusal,
    unheeded,
    way_of,
)
from productionservice.live import TAKEN_UP, EdgeState
from productionservice.status.conditions import EXPOSED, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.optional import child_finding
from productionservice.status.reasons import Reason

_KINDS = (*TAKEN_UP, "Ingress")
"""What leads to the service. An Ingress has no conditions: it counts once it is applied."""


def url(given: StatusInput) -> str:
    """Where it is reached from outside, empty when it is not."""
    hosts = held_hosts(given.service, given.context)
    return f"{'https' if has_tls(given.service) else 'http'}://{hosts[0]}" if hosts else ""


def evaluate(given: StatusInput) -> Finding | None:
    """None when the service is not exposed."""
    if given.service.spec.expose is None:
        return None
    refused = refusal(given.service, given.context)
    if refused:
        return needs_someone(EXPOSED, Reason.GATEWAY_NOT_OFFERED, refused)
    taken = given.context.taken
    if taken:
        text = "; ".join(
            f"{host} belongs to {holder}, which is older" for host, holder in sorted(taken.items())
        )
        return needs_someone(EXPOSED, Reason.HOST_TAKEN, f"{text}: remove it from one of the two")
    applied = [child_finding(given, EXPOSED, kind, Reason.EXPOSED) for kind in _KINDS]
    faults = [found for found in applied if found and found.status is not ConditionStatus.TRUE]
    found = faults[0] if faults else _by_the_edge(given) or _by_the_next(given)
    if found is None:
        lacking = " and ".join(problem.field for problem in unheeded(given.service, given.context))
        without = f"; without {lacking}, for which an Ingress has no field" if lacking else ""
        return done(EXPOSED, Reason.EXPOSED, f"reached at {url(given)} by {_edge(given)}{without}")
    until = [f"Gateway {each}" for each in given.context.leaving]
    until += [_ingress(given)] if given.context.moving else []
    return replace(found, message=f"{found.message}; until then by {' and '.join(until)}") if until else found


def _edge(given: StatusInput) -> str:
    """Through what requests come."""
    context = given.context
    gateway = f"Gateway {gateway_of(given.service, context)}"
    if way_of(given.service, context) is Way.GATEWAY:
        return gateway
    fallen_back = may_fall_back(given.service, context)
    return _ingress(given) + (f": the cluster has no Gateway API for {gateway}" if fallen_back else "")


def _ingress(given: StatusInput) -> str:
    name = ingress_class(given.service, given.context)
    return f"Ingress of class {name}" if name else "Ingress of the cluster's default class"


def _by_the_edge(given: StatusInput) -> Finding | None:
    """What the edge has not done yet, or refuses. None when it has done everything."""
    for result in given.applied.results:
        ref, live = result.change.ref, result.live
        if result.change.manifest is None or live is None or not isinstance(live.state, EdgeState):
            continue
        for type_ in TAKEN_UP.get(ref.kind, ()):
            said = live.state.find(type_)
            if said is None or said.status == "Unknown":
                return in_progress(EXPOSED, Reason.EXPOSING, f"{ref} is not {type_} yet")
            if said.status != "True":
                text = f"{ref}: {type_} is {said.status}: {said.reason}: {said.message}"
                if ref.kind == "Gateway" and not _has_certificate(given):
                    return in_progress(EXPOSED, Reason.EXPOSING, f"waiting for the certificate: {text}")
                return needs_someone(EXPOSED, Reason.NOT_ROUTED, text)
    if has_tls(given.service) and not _has_certificate(given):
        return in_progress(EXPOSED, Reason.EXPOSING, "waiting for the certificate")
    return None


def _by_the_next(given: StatusInput) -> Finding | None:
    """While an old Gateway is kept, what it says is not the word of the one that follows."""
    if not given.context.leaving:
        return None
    gateway = gateway_of(given.service, given.context)
    return in_progress(EXPOSED, Reason.EXPOSING, f"Gateway {gateway} is taking up its routes")


def _has_certificate(given: StatusInput) -> bool:
    """True once one has been issued, even if it is being renewed."""
    states = [r.live.state for r in given.applied.results if r.change.ref.kind == "Certificate" and r.live]
    return any(isinstance(state, EdgeState) and state.not_after for state in states)
