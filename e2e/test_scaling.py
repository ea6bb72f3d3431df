"""A service under real load, with an autoscaler that sees real CPU: out, handed over, and back in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from e2e.caller import CALLER
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.services import Services
from e2e.traffic import traffic

pytestmark = pytest.mark.node

AUTOSCALED: dict[str, Any] = {"min": 1, "max": 3, "cpuPercent": 50, "scaleDownSeconds": 5}
FIXED: dict[str, Any] = {"min": 3, "max": None, "cpuPercent": None, "scaleDownSeconds": None}
SIZE: dict[str, Any] = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
"""The quiet service uses a tenth of it, under load several times as much."""


def serving(shop: Services) -> set[str]:
    """UIDs of the pods: another pod of the same name is another pod."""
    return {pod["metadata"]["uid"] for pod in shop.pods()}


def test_load_scales_out_a_hand_over_drops_no_pod_and_quiet_scales_in(
    addons: Callable[..., Cluster], shop: Services
) -> None:
    addons("metrics-server")
    shop.apply(replicas=AUTOSCALED, resources=SIZE, network={"allowFrom": [{"service": CALLER}]})
    shop.wait_ready()
    assert len(shop.pods()) == 1

    def has_three() -> None:
        assert shop.get("deployment")["status"].get("readyReplicas") == 3, shop.get("hpa")["status"]

    with traffic(shop, f"http://catalog.{shop.namespace}.svc/version") as load:
        eventually(
            has_three, timeout=120
        )  # a figure takes two scrapes of 10 s, the autoscaler looks every 15 s
        pods = serving(shop)

        shop.patch({"replicas": FIXED})
        shop.wait_ready()
        assert not shop.exists("hpa")
        assert serving(shop) == pods

        shop.patch({"replicas": AUTOSCALED})
        shop.wait_ready()
        assert shop.exists("hpa")
        assert serving(shop) == pods
        report = load.stop()

    def has_one() -> None:
        assert len(shop.pods()) == 1, shop.get("hpa")["status"]

    eventually(has_one, timeout=120)
    assert report.failures == ()
    assert shop.get("psvc")["status"]["replicas"]["desired"] == 1
