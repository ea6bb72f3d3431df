"""What others do to the children, and what the operator does about it."""

from __future__ import annotations

import json

import pytest

from e2e.eventually import eventually
from e2e.services import Json, Services

pytestmark = pytest.mark.node

KINDS = [
    "serviceaccount", "networkpolicy", "service", "deployment",
    "poddisruptionbudget", "horizontalpodautoscaler",
]  # fmt: skip
EDITS = {
    "networkpolicy": [
        {"op": "replace", "path": "/spec/policyTypes", "value": ["Ingress"]},
        {"op": "add", "path": "/spec/ingress", "value": [{}]},  # open to everybody
    ],
    "service": [  # a port that is renumbered, one that is added, and callers pinned to a pod
        {"op": "replace", "path": "/spec/ports/0/port", "value": 8080},
        {"op": "add", "path": "/spec/ports/-", "value": {"name": "more", "port": 9999, "protocol": "TCP"}},
        {"op": "add", "path": "/spec/sessionAffinity", "value": "ClientIP"},
    ],
    "deployment": [{"op": "replace", "path": "/spec/strategy/rollingUpdate/maxUnavailable", "value": 1}],
    "poddisruptionbudget": [
        {"op": "replace", "path": "/spec/unhealthyPodEvictionPolicy", "value": "IfHealthyBudget"}
    ],
    "horizontalpodautoscaler": [{"op": "replace", "path": "/spec/maxReplicas", "value": 9}],
    "serviceaccount": [{"op": "replace", "path": "/automountServiceAccountToken", "value": True}],
}


@pytest.fixture
def running(shop: Services) -> Services:
    shop.apply(replicas={"min": 1, "max": 2})
    shop.wait_ready()
    return shop


def test_every_deleted_child_comes_back(running: Services) -> None:
    before = {kind: running.get(kind)["metadata"]["uid"] for kind in KINDS}

    for kind in KINDS:
        running.kubectl("delete", kind, "catalog", "--wait=false")

    def all_back() -> None:
        after = {kind: running.get(kind)["metadata"]["uid"] for kind in KINDS if running.exists(kind)}
        assert set(after) == set(KINDS)
        assert all(after[kind] != before[kind] for kind in KINDS)

    eventually(all_back, timeout=30)
    running.wait_ready()


def test_every_hand_edit_is_reverted(running: Services) -> None:
    before = {kind: _wanted_part(running.get(kind)) for kind in KINDS}

    for kind, edit in EDITS.items():
        running.kubectl("patch", kind, "catalog", "--type=json", "-p", json.dumps(edit))

    def all_reverted() -> None:
        assert {kind: _wanted_part(running.get(kind)) for kind in KINDS} == before

    eventually(all_reverted, timeout=30)


def test_an_object_of_somebody_else_is_never_touched(shop: Services) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "catalog", "labels": {"team": "somebody-else"}},
        "spec": {"ports": [{"port": 1234}]},
    }
    shop.apply_object(foreign)
    before = shop.get("service")

    shop.apply()
    condition = shop.wait_reason("NotOwned", type_="Applied")

    assert "Service catalog" in condition["message"]
    assert condition["status"] == "False"
    assert shop.get("service") == before
    shop.kubectl("delete", "service", "catalog")
    shop.wait_ready(within=90)
    assert shop.get("service")["metadata"]["ownerReferences"][0]["kind"] == "ProductionService"


def test_what_leaves_the_desired_set_is_pruned_and_replicas_are_handed_over(shop: Services) -> None:
    shop.apply(replicas={"min": 2})
    shop.wait_ready()
    assert not shop.exists("horizontalpodautoscaler")

    shop.patch({"replicas": {"min": 2, "max": 4}})
    shop.wait_ready()
    assert shop.get("horizontalpodautoscaler")["spec"]["maxReplicas"] == 4
    shop.kubectl("scale", "deployment", "catalog", "--replicas=3")
    shop.wait_ready()
    assert shop.get("deployment")["spec"]["replicas"] == 3, (
        "within its range the count belongs to the autoscaler"
    )

    shop.patch({"replicas": {"min": 3, "max": 3}})
    shop.wait_ready()

    def pruned() -> None:
        assert not shop.exists("horizontalpodautoscaler")

    eventually(pruned, timeout=30)
    assert shop.get("deployment")["spec"]["replicas"] == 3


def _wanted_part(manifest: Json) -> Json:
    return {k: v for k, v in manifest.items() if k in {"spec", "automountServiceAccountToken"}}
