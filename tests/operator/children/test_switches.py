"""Every optional feature: on makes an object, off makes none, and flipped twice it is the same object again."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from productionservice.children import CHILDREN
from productionservice.plan import Action, Ref
from tests.support.builders import children, make_service, observe, plan_for, rendered

TLS = {"issuer": {"name": "acme"}}
SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HorizontalPodAutoscaler": ({"replicas": {"min": 2, "max": 5}}, {"replicas": {"min": 2}}),
    "ServiceMonitor": (
        {"observability": {"metrics": {"monitor": "Required"}}},
        {"observability": {"metrics": {"monitor": "Off"}}},
    ),
    "CiliumNetworkPolicy": ({"network": {"allowTo": [{"fqdn": "api.example", "port": 443}]}}, {}),
    "Ingress": (
        {"expose": {"hosts": ["a.example"], "ingress": {"className": "nginx"}}},
        {},
    ),
    "HTTPRoute": ({"expose": {"hosts": ["a.example"]}}, {}),
    "Gateway": ({"expose": {"hosts": ["a.example"], "tls": TLS}}, {}),
    "Certificate": ({"expose": {"hosts": ["a.example"], "tls": TLS}}, {}),
}
"""Kind of the object, the spec that wants it, and the spec that does not."""

BESIDE = {
    Ref("Gateway", "catalog"),
    Ref("HTTPRoute", "catalog"),
    Ref("HTTPRoute", "catalog.redirect"),
    Ref("Certificate", "catalog"),
}
"""What TLS on Gateway API is made of: one switch for all of it."""


@pytest.mark.parametrize("kind", SWITCHES)
def test_on_off_and_on_again(kind: str) -> None:
    on, off = (make_service(**spec) for spec in SWITCHES[kind])

    assert kind not in children(off)
    assert children(make_service(**SWITCHES[kind][0]))[kind] == children(on)[kind]


@pytest.mark.parametrize("kind", SWITCHES)
def test_switched_off_it_goes_and_nothing_else_does(kind: str) -> None:
    on, off = (make_service(**spec) for spec in SWITCHES[kind])
    live = [{**m, "metadata": {**m["metadata"], "uid": f"uid-of-{m['kind']}"}} for m in rendered(on)]
    plan = plan_for(off, observe(*live))

    deleted = {change.ref for change in plan.changes if change.action is Action.DELETED}
    beside = BESIDE if kind in {"Gateway", "Certificate"} else set()
    assert deleted == {Ref(kind, "catalog")} | beside


def test_every_kind_that_may_be_absent_has_its_switch() -> None:
    """Which may be is what the builders' own signatures say, so that a new kind cannot be forgotten here."""
    optional = {
        kind.kind for kind, build in CHILDREN if NoneType in get_args(get_type_hints(build)["return"])
    }

    assert optional == set(SWITCHES)
