"""The Prometheus operator and Prometheus on the cluster: what is generated for them is found, loaded and scraped."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from e2e.addons import down, prometheus
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import NAMESPACE, RELEASE, TAG, install_operator
from e2e.services import Json, Services

pytestmark = pytest.mark.node

_SOON: Json = {"metrics": {"intervalSeconds": 5}}
_METRIC = "http_server_request_duration_seconds_count"
_WATCHED: Json = {
    "monitoring": {"serviceMonitor": {"enabled": True, "interval": "5s"}, "alerts": {"enabled": True}}
}


def _targets(cluster: Cluster, namespace: str) -> list[Json]:
    """What Prometheus scrapes in a namespace."""
    prometheus.hasten(cluster)
    found: list[Json] = prometheus.ask(cluster, "targets", state="active")["activeTargets"]
    return [target for target in found if target["labels"].get("namespace") == namespace]


def _scraped(cluster: Cluster, namespace: str, job: str, pods: set[str]) -> list[Json]:
    """The targets, when they are these pods and each has answered."""
    targets = [target for target in _targets(cluster, namespace) if target["labels"]["job"] == job]
    assert {target["labels"]["pod"] for target in targets} == pods, targets
    assert {target["health"] for target in targets} == {"up"}, targets
    return targets


def _names(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def _operators(cluster: Cluster) -> dict[str, int]:
    """Our operator's pods, and how often each has been started again."""
    selector = f"app.kubernetes.io/name={RELEASE}"
    found = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in found}


def test_a_service_that_was_first_is_scraped_when_the_kinds_come_and_nothing_is_restarted(
    shop: Services, addons: Callable[..., Cluster]
) -> None:
    down(shop.cluster, ["prometheus-operator"])
    shop.apply(observability=_SOON)
    shop.wait_ready()
    shop.wait_reason("CRDNotInstalled", type_="MonitoringReady")
    operators, pods = _operators(shop.cluster), shop.pods()

    addons("prometheus")

    shop.wait_reason("ServiceMonitorApplied", type_="MonitoringReady")
    eventually(partial(_scraped, shop.cluster, shop.namespace, "catalog", _names(pods)), timeout=60)
    assert _names(shop.pods()) == _names(pods)
    assert _operators(shop.cluster) == operators


def test_a_service_is_scraped_under_the_labels_that_are_documented_until_it_is_off(
    shop: Services, addons: Callable[..., Cluster]
) -> None:
    """Prometheus' way to the pods is the generated policy: others do not reach the port (docs/network.md)."""
    cluster = addons("prometheus")
    shop.apply(observability=_SOON)
    shop.wait_ready()
    (pod,) = shop.pods()
    (target,) = eventually(partial(_scraped, cluster, shop.namespace, "catalog", _names([pod])), timeout=60)

    assert target["labels"] == {
        "namespace": shop.namespace,
        "service": "catalog",
        "job": "catalog",
        "pod": pod["metadata"]["name"],
        "container": "service",
        "endpoint": "admin",
        "instance": f"{pod['status']['podIP']}:9000",
        "app_kubernetes_io_version": TAG,
    }
    assert set(target["labels"]) == prometheus.documented_labels()
    series = prometheus.query(cluster, f'{_METRIC}{{namespace="{shop.namespace}",job="catalog"}}')
    assert {"method", "route", "status"} <= set(series[0]["metric"])
    every = prometheus.query(cluster, f'{{namespace="{shop.namespace}"}}')
    renamed = {label for one in every for label in one["metric"] if label.startswith("exported_")}
    assert not renamed, "a metric's own label has the name of a target's"

    shop.patch({"observability": {"metrics": {"monitor": "Off"}}})

    def gone() -> None:
        assert _targets(cluster, shop.namespace) == []

    eventually(gone, timeout=60)


def test_the_operator_s_own_monitor_and_alerts_are_loaded_and_nothing_fires(
    operator: Cluster, addons: Callable[..., Cluster]
) -> None:
    addons("prometheus")
    selector = f"app.kubernetes.io/name={RELEASE}"
    install_operator(operator, _WATCHED)
    try:
        pods = operator.kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "name").split()
        names = {pod.removeprefix("pod/") for pod in pods}
        eventually(partial(_scraped, operator, NAMESPACE, f"{RELEASE}-metrics", names), timeout=60)

        def evaluated() -> None:
            prometheus.hasten(operator)
            groups = {group["name"]: group["rules"] for group in prometheus.ask(operator, "rules")["groups"]}
            rules = groups[RELEASE]
            assert len(rules) > 10
            assert not [rule for rule in rules if rule["health"] != "ok" or rule["state"] == "firing"]

        eventually(evaluated, timeout=90)
    finally:
        install_operator(operator)
