"""HostsAllowed: is the policy there that opens hosts by their names? Whether it is enforced, only traffic shows."""

from __future__ import annotations

from dataclasses import replace

from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.live import EdgeState
from productionservice.status.conditions import HOSTS_ALLOWED, Finding, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.optional import child_finding
from productionservice.status.reasons import Reason

KIND = "CiliumNetworkPolicy"


def evaluate(given: StatusInput) -> Finding | None:
    """None when the spec names no host."""
    found = child_finding(given, HOSTS_ALLOWED, KIND, Reason.HOSTS_ALLOWED)
    if found is None:
        return None
    if found.reason is Reason.CRD_NOT_INSTALLED:
        return replace(found, message=f"{found.message}. Until then {_closed(given)}")
    return _by_cilium(given) or found if found.status is ConditionStatus.TRUE else found


def _closed(given: StatusInput) -> str:
    """Which hosts cannot be called, and what can be written where there is no Cilium."""
    peers = [(i, p) for i, p in enumerate(given.service.spec.network.allow_to) if p.fqdn]
    hosts = ", ".join(f"{p.fqdn}:{p.port} (spec.network.allowTo[{i}])" for i, p in peers)
    return f"these hosts stay closed; without Cilium write cidr, the address range, instead of fqdn: {hosts}"


def _by_cilium(given: StatusInput) -> Finding | None:
    """What Cilium has against the policy. None when it has nothing, or has not looked at it."""
    for result in given.applied.results:
        live = result.live
        if result.change.ref.kind != KIND or live is None or not isinstance(live.state, EdgeState):
            continue
        said = live.state.find("Valid")
        if said is not None and said.status == "False":
            return needs_someone(
                HOSTS_ALLOWED, Reason.HOSTS_REFUSED, f"{result.change.ref}: Cilium says: {said.message}"
            )
    return None
