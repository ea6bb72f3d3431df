"""Three zones with a node each: pods are spread, a node is drained under load, a zone is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.caller import CALLER
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import install_operator, load_images
from e2e.services import Json, Services, new_namespace
from e2e.test_disruption import evict
from e2e.traffic import traffic

pytestmark = pytest.mark.nodes

ZONE = "topology.kubernetes.io/zone"
SPREAD: Json = {
    "replicas": {"min": 3},
    "availability": {"zones": "Required"},
    "network": {"allowFrom": [{"service": CALLER}]},
}


@pytest.fixture(scope="module")
def zones(nodes_cluster: Cluster) -> Cluster:
    """A cluster of three zones with the operator in it."""
    load_images(nodes_cluster)
    install_operator(nodes_cluster)
    return nodes_cluster


@pytest.fixture
def spread(zones: Cluster) -> Iterator[Services]:
    """The catalogue with a pod in each zone, in a namespace of its own."""
    with new_namespace(zones) as shop:
        shop.apply(**SPREAD)
        shop.wait_ready()
        yield shop


def nodes(cluster: Cluster) -> dict[str, Json]:
    found = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    return {node["metadata"]["name"]: node for node in found if ZONE in node["metadata"]["labels"]}


def places(shop: Services) -> list[str]:
    """The nodes of the serving pods, once for each pod."""
    return sorted(pod["spec"].get("nodeName", "nowhere") for pod in shop.pods())


def without(cluster: Cluster, *busy: str) -> str:
    """A node that can be missed: neither the first, through which this machine reaches Services, nor that of DNS."""
    pods = json.loads(cluster.kubectl("-n", "kube-system", "get", "pods", "-o", "json"))["items"]
    kept = {*busy, min(nodes(cluster)), *(pod["spec"]["nodeName"] for pod in pods)}
    return next(name for name in sorted(nodes(cluster), reverse=True) if name not in kept)


def node_of(shop: Services, pod: str) -> str:
    return str(shop.get("pod", pod)["spec"]["nodeName"])


def ready_pods(shop: Services) -> int:
    return int(shop.get("deployment").get("status", {}).get("readyReplicas", 0))


@contextmanager
def fewest_ready(shop: Services) -> Iterator[list[int]]:
    """How many pods the Deployment says are ready, looked at all the time."""
    seen, ended = [ready_pods(shop)], threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.append(ready_pods(shop))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def test_each_zone_has_a_pod(spread: Services) -> None:
    assert places(spread) == sorted(nodes(spread.cluster))


def test_a_node_is_drained_under_load(zones: Cluster, spread: Services) -> None:
    spread.patch(
        {"availability": {"zones": "Preferred"}}
    )  # Required: the third pod has no zone to go to meanwhile
    spread.wait_ready()
    with (
        traffic(spread, f"http://catalog.{spread.namespace}.svc/version", node=min(nodes(zones))) as load,
        fewest_ready(spread) as ready,
    ):
        node = without(zones)
        try:
            zones.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s", timeout=150
            )
            assert node not in places(spread)
            spread.wait_ready()
        finally:
            zones.kubectl("uncordon", node)
        report = load.stop()

    assert report.failures == ()
    assert report.requests > 1_000
    assert min(ready) >= 2, "the budget holds while pods move"
    assert len(places(spread)) == 3


def test_a_lost_zone_leaves_a_quorum_that_serves_and_cannot_be_evicted(
    zones: Cluster, spread: Services
) -> None:
    lost = without(zones)
    survivors = [pod["metadata"]["name"] for pod in spread.pods() if pod["spec"]["nodeName"] != lost]

    with zones.cut_off(lost):

        def noticed() -> None:
            assert ready_pods(spread) == 2
            budget = spread.get("poddisruptionbudget")["status"]
            assert (budget["currentHealthy"], budget["disruptionsAllowed"]) == (2, 0)

        eventually(noticed, timeout=120)
        assert [evict(spread, name) for name in survivors] == [False, False]
        available = spread.condition("Available")
        assert available["status"] == "True", available
        assert "2 of 3 pods available: pod" in available["message"], available
        assert f"its node {lost} does not answer" in available["message"], available
        with traffic(
            spread, f"http://catalog.{spread.namespace}.svc/version", node=min(nodes(zones))
        ) as load:
            report = load.stop()
        assert report.failures == ()

    spread.wait_ready()
    assert places(spread) == sorted(nodes(zones))
