"""Every optional feature: on makes an object, off makes none, and flipped twice it is the same object again."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.plan import Action, Ref
from tests.support.builders import children, make_service, observe, plan_for, rendered

SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HorizontalPodAutoscaler": ({"replicas": {"min": 2, "max": 5}}, {"replicas": {"min": 2}}),
    "ServiceMonitor": (
        {"observability": {"metrics": {"monitor": "Required"}}},
        {"observability": {"metrics": {"monitor": "Off"}}},
    ),
}
"""Kind of the object, the spec that wants it, and the spec that does not."""


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

    assert [change.ref for change in plan.changes if change.action is Action.DELETED] == [
        Ref(kind, "catalog")
    ]


def test_every_kind_that_may_be_absent_has_its_switch() -> None:
    most = children(make_service(replicas={"min": 2, "max": 5}))
    least = children(
        make_service(
            replicas={"min": 2}, observability={"metrics": {"monitor": "Off"}}, environment="development"
        )
    )

    assert set(most) - set(least) == set(SWITCHES)
