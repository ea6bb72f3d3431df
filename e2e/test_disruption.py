"""Voluntary disruptions: never refused while healthy, never below quorum, not blocked by the unhealthy."""

from __future__ import annotations

import json
import subprocess

import pytest

from e2e.eventually import eventually
from e2e.services import Services

pytestmark = pytest.mark.node


def evict(shop: Services, pod: str) -> bool:
    """Ask the Eviction API, as `kubectl drain` does. False when the budget refuses (HTTP 429)."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": shop.namespace},
    }
    try:
        shop.cluster.kubectl(
            "create", "--raw", f"/api/v1/namespaces/{shop.namespace}/pods/{pod}/eviction", "-f", "-",
            input=json.dumps(eviction),
        )  # fmt: skip
    except subprocess.CalledProcessError:
        return False
    return True


def budget_allows(shop: Services, count: int) -> None:
    def allowed() -> None:
        status = shop.get("poddisruptionbudget").get("status", {})
        assert status.get("disruptionsAllowed") == count, status

    eventually(allowed, timeout=60)


def test_one_pod_can_be_drained(shop: Services) -> None:
    shop.apply(replicas={"min": 1})
    shop.wait_ready()
    budget_allows(shop, 1)

    assert evict(shop, shop.pods()[0]["metadata"]["name"])
    shop.wait_ready()


def test_three_pods_lose_one_at_a_time(shop: Services) -> None:
    shop.apply(replicas={"min": 3})
    shop.wait_ready()
    budget_allows(shop, 1)
    first, second, _ = sorted(pod["metadata"]["name"] for pod in shop.pods())

    assert evict(shop, first)
    assert not evict(shop, second), "a second pod would cost the majority"
    budget_allows(shop, 1)
    assert evict(shop, second), "the budget opens again once the first is replaced"


def test_pods_that_never_became_healthy_do_not_block_a_drain(shop: Services) -> None:
    shop.apply(replicas={"min": 3}, probes={"readinessPath": "/nowhere"})

    def running() -> list[str]:
        names = [p["metadata"]["name"] for p in shop.pods() if p["status"]["phase"] == "Running"]
        assert len(names) == 3
        return names

    for name in eventually(running, timeout=60):
        assert evict(shop, name)
