"""HostsAllowed: is the policy there that opens hosts, what does Cilium say of it, and what to write without Cilium."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.children import build_children
from productionservice.children.context import BuildContext
from productionservice.effective import compute_effective
from productionservice.errors import OperatorError, Rejected, Transient, Unserved
from productionservice.live import Live
from productionservice.plan import Action, Applied, Change, Result, ref_of
from productionservice.status.conditions import Finding
from productionservice.status.inputs import StatusInput
from productionservice.status.opened import KIND, evaluate
from tests.support.builders import make_service

HOSTS = (
    {"service": "pricing"},
    {"fqdn": "api.example", "port": 443},
    {"fqdn": "*.api.example", "port": 8443},
)


def found(*peers: Any, error: OperatorError | None = None, status: Any = None) -> Finding | None:
    service = make_service(network={"allowTo": list(peers)})
    effective = compute_effective(service.spec)
    results = []
    for manifest in build_children(service, effective, BuildContext()):
        if manifest["kind"] == KIND:
            live = None if error else Live.of(KIND, {**manifest, "status": status or {}})
            change = Change(Action.CREATED if error else Action.UNCHANGED, ref_of(manifest), manifest)
            results.append(Result(change, live, error))
    return evaluate(StatusInput(service, effective, Applied(tuple(results)), None, ()))


def test_a_service_that_names_no_host_says_nothing() -> None:
    assert found({"service": "pricing"}, {"cidr": "192.0.2.10/32", "port": 443}) is None


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, "True", "HostsAllowed"),
        (Unserved("the cluster has none"), "False", "CRDNotInstalled"),
        (Unserved("not for us", forbidden=True), "False", "Forbidden"),
        (Rejected("no", status=422), "False", "Rejected"),
        (Transient("again"), "Unknown", "ApplyFailed"),
    ],
)
def test_what_became_of_the_policy(error: OperatorError | None, status: str, reason: str) -> None:
    finding = found(*HOSTS, error=error)

    assert finding is not None
    assert (finding.status.value, finding.reason.value) == (status, reason)


def test_without_cilium_every_closed_host_is_named_and_what_to_write() -> None:
    finding = found(
        *HOSTS, error=Unserved("the cluster has no ciliumnetworkpolicies.cilium.io: install Cilium")
    )

    assert finding is not None
    assert finding.message == (
        "CiliumNetworkPolicy catalog: the cluster has no ciliumnetworkpolicies.cilium.io: install Cilium. "
        "Until then these hosts stay closed; without Cilium write cidr, the address range, instead of fqdn: "
        "api.example:443 (spec.network.allowTo[1]), *.api.example:8443 (spec.network.allowTo[2])"
    )


@pytest.mark.parametrize(("valid", "reason"), [("True", "HostsAllowed"), ("False", "HostsRefused")])
def test_cilium_has_the_last_word(valid: str, reason: str) -> None:
    said = {"type": "Valid", "status": valid, "message": "no such rule"}
    finding = found(*HOSTS, status={"conditions": [said]})

    assert finding is not None
    assert finding.reason.value == reason
    assert ("no such rule" in finding.message) == (valid == "False")
