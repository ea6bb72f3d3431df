"""The Eviction API's own arithmetic against the calculator's: as many evictions are allowed as it says, and no more.

No node runs here: the pods' states are written as a kubelet would, and stay so. That is the worst case, a drain
during which no replacement ever becomes ready.
"""

from __future__ import annotations

import json
from http.client import TOO_MANY_REQUESTS
from typing import Any

import pytest
from kubernetes.client import ApiException, CoreV1Api, V1Eviction, V1ObjectMeta

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from productionservice.api import ProductionService
from productionservice.availability import outlook
from productionservice.effective import compute_effective
from tests.support.builders import children
from tests.support.shop import Shop

pytestmark = pytest.mark.api

MOST = 10
FIXED: list[dict[str, Any]] = [{"replicas": {"min": pods}} for pods in range(1, MOST + 1)]
AUTOSCALED: list[dict[str, Any]] = [{"replicas": {"min": low, "max": MOST}} for low in range(1, MOST)]
CASES: list[dict[str, Any]] = [
    {**spec, **availability}
    for availability in ({}, {"availability": {"maxUnavailable": 99}})
    for spec in (*FIXED, *AUTOSCALED)
]
"""One to ten pods, fixed and autoscaled from each number below ten; and the same once more for a team that asked for
so many that a majority would go, for which fewer are used."""


def spec_id(spec: dict[str, Any]) -> str:
    return "-".join(str(number) for part in spec.values() for number in part.values())


def counts(spec: dict[str, Any]) -> range:
    """How many pods there may be: for an autoscaler every number that it may choose."""
    low = spec["replicas"]["min"]
    return range(low, spec["replicas"].get("max", low) + 1)


@pytest.fixture(scope="module")
def pods_api(api_cluster: Cluster) -> CoreV1Api:
    return CoreV1Api(api_cluster.api)


def test_no_combination_is_left_out() -> None:
    for asked in (False, True):
        cases = [spec for spec in CASES if ("availability" in spec) is asked]
        found = {
            (spec["replicas"]["min"], "max" in spec["replicas"], n) for spec in cases for n in counts(spec)
        }
        fixed = {(pods, False, pods) for pods in range(1, MOST + 1)}
        assert found == fixed | {(low, True, n) for low in range(1, MOST) for n in range(low, MOST + 1)}


@pytest.mark.parametrize("spec", CASES, ids=spec_id)
def test_as_many_pods_may_be_evicted_as_was_said(
    shop: Shop, pods_api: CoreV1Api, spec: dict[str, Any]
) -> None:
    service = shop.service(spec)
    name = service.metadata.name
    seen = outlook(service.spec, compute_effective(service.spec))
    made = children(service)
    made["Deployment"]["spec"]["replicas"] = seen.pods
    kinds = ("ServiceAccount", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    shop.cluster.kubectl("create", "-f", shop.write([made[kind] for kind in kinds if kind in made]))

    for count in counts(spec):
        shop.cluster.kubectl("-n", shop.name, "scale", "deployment", name, f"--replicas={count}")
        pods = eventually(lambda count=count: all_made(pods_api, service, count))  # type: ignore[misc] # at once
        for pod in pods:
            run(pods_api, shop.name, pod)
        eventually(lambda count=count: counted(shop, service, count))  # type: ignore[misc] # at once

        evicted = sum(evict(pods_api, shop.name, pod) for pod in pods)

        assert evicted == seen.at_once >= 1, "never refused while all are healthy"
        assert count - evicted >= seen.drain_leaves
        assert count < 3 or count - evicted > count // 2, "a majority stays"
    shop.cluster.kubectl(
        "-n", shop.name, "delete", "deployment,hpa", name, "--wait=false", "--ignore-not-found"
    )


def all_made(api: CoreV1Api, service: ProductionService, count: int) -> list[str]:
    selector = f"{labels.SERVICE}={service.metadata.name}"
    found = api.list_namespaced_pod(service.metadata.namespace, label_selector=selector).to_dict()["items"]
    names = [str(pod["metadata"]["name"]) for pod in found if pod["metadata"]["deletion_timestamp"] is None]
    assert len(names) == len(found) == count
    return names


def run(api: CoreV1Api, namespace: str, pod: str) -> None:
    """Say what a kubelet says of a pod that serves."""
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    api.patch_namespaced_pod_status(pod, namespace, {"status": status})


def counted(shop: Shop, service: ProductionService, count: int) -> None:
    """The disruption controller has seen all of them, and that those are gone which were evicted before."""
    budget = json.loads(
        shop.cluster.kubectl("-n", shop.name, "get", "pdb", service.metadata.name, "-o", "json")
    )["status"]
    assert budget["currentHealthy"] == budget["expectedPods"] == count
    assert not budget.get("disruptedPods")


def evict(api: CoreV1Api, namespace: str, pod: str) -> bool:
    """Ask as `kubectl drain` does; False when the budget refuses."""
    eviction = V1Eviction(metadata=V1ObjectMeta(name=pod, namespace=namespace))
    try:
        api.create_namespaced_pod_eviction(pod, namespace, eviction)
    except ApiException as error:
        if error.status != TOO_MANY_REQUESTS or "disruption budget" not in str(error.body):
            raise
        return False
    return True
