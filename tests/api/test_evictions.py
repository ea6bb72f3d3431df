"""The Eviction API's own arithmetic against the calculator's: as many evictions are allowed as it says, and no more.

No node runs here: the pods' states are written as a kubelet would, and stay so. That is the worst case, a drain
during which no replacement ever becomes ready.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.eventually import eventually
from productionservice import labels
from productionservice.api import ProductionService
from productionservice.availability import outlook
from productionservice.effective import compute_effective
from tests.support.builders import children
from tests.support.shop import Shop, refusal

pytestmark = pytest.mark.api

CASES: list[dict[str, Any]] = [
    *({"replicas": {"min": pods}} for pods in range(1, 11)),
    *({"replicas": {"min": pods}, "availability": {"maxUnavailable": 99}} for pods in (2, 3, 4, 5, 8, 10)),
    {"replicas": {"min": 5, "max": 9}, "availability": {"maxUnavailable": 2}},
]


def spec_id(spec: dict[str, Any]) -> str:
    return "-".join(str(number) for part in spec.values() for number in part.values())


@pytest.mark.parametrize("spec", CASES, ids=spec_id)
def test_as_many_pods_may_be_evicted_as_was_said(shop: Shop, spec: dict[str, Any]) -> None:
    service = shop.service(spec)
    seen = outlook(service.spec, compute_effective(service.spec))
    made = children(service)
    deployment = made["Deployment"]
    deployment["spec"]["replicas"] = seen.pods
    shop.cluster.kubectl(
        "create", "-f", shop.write([made["ServiceAccount"], deployment, made["PodDisruptionBudget"]])
    )
    pods = eventually(lambda: all_made(shop, service, seen.pods))
    for pod in pods:
        run(shop, pod)
    eventually(lambda: counted(shop, service, seen.pods))

    evicted = sum(evict(shop, pod) for pod in pods)

    assert evicted == seen.at_once == seen.pods - seen.drain_leaves
    shop.cluster.kubectl("-n", shop.name, "delete", "deployment", service.metadata.name, "--wait=false")


def all_made(shop: Shop, service: ProductionService, count: int) -> list[str]:
    selector = f"{labels.SERVICE}={service.metadata.name}"
    names = shop.cluster.kubectl("-n", shop.name, "get", "pods", "-l", selector, "-o", "name").split()
    assert len(names) == count
    return names


def run(shop: Shop, pod: str) -> None:
    """Say what a kubelet says of a pod that serves."""
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    shop.cluster.kubectl(
        "-n", shop.name, "patch", pod, "--subresource=status", "--type=merge", "-p", json.dumps(status)
    )


def counted(shop: Shop, service: ProductionService, count: int) -> None:
    """The disruption controller has seen all of them."""
    budget = json.loads(
        shop.cluster.kubectl("-n", shop.name, "get", "pdb", service.metadata.name, "-o", "json")
    )
    assert budget["status"]["currentHealthy"] == budget["status"]["expectedPods"] == count


def evict(shop: Shop, pod: str) -> bool:
    """Ask as `kubectl drain` does; False when the budget refuses."""
    name = pod.removeprefix("pod/")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": shop.name},
    }
    file = shop.folder / "eviction.json"
    file.write_text(json.dumps(eviction))
    where = f"/api/v1/namespaces/{shop.name}/pods/{name}/eviction"
    said = refusal(lambda: shop.cluster.kubectl("create", "--raw", where, "-f", str(file)))
    assert not said or "disruption budget" in said
    return not said
