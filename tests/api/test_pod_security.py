"""Pod Security *restricted*, by the API server's own admission, over two thousand services of all kinds."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from kubernetes.client import ApiException, CoreV1Api, CustomObjectsApi

from e2e.cluster.providers import Cluster
from e2e.crds import wait_established
from productionservice.api import GROUP, KIND, PLURAL, VERSION
from tests.api.operator_process import CRD
from tests.support.builders import children, make_service
from tests.support.specs import names, specs

pytestmark = pytest.mark.api

SERVICES, DRAWN = 2000, 3500
"""Services that have to be accepted, and of how many: of what the models read, rules between fields refuse a third."""
WORKERS = 8
Json = dict[str, Any]


def drawn() -> list[tuple[str, Json]]:
    """Names and specs of every shape."""
    found: list[tuple[str, Json]] = []

    @settings(max_examples=DRAWN, database=None, suppress_health_check=list(HealthCheck))
    @given(names, specs)
    def collect(name: str, spec: Json) -> None:
        found.append((name, spec))

    collect()
    return found


def accepted(
    cluster: Cluster, namespace: str, services: Sequence[tuple[str, Json]]
) -> list[tuple[str, Json]]:
    """Those that the API server would take. Nothing else ever has pods."""
    api = CustomObjectsApi(cluster.api)

    def taken(service: tuple[str, Json]) -> bool:
        name, spec = service
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}, "spec": spec}
        create = partial(api.create_namespaced_custom_object, GROUP, VERSION, namespace, PLURAL, body)
        return not refusal(partial(create, dry_run="All"))

    with ThreadPoolExecutor(WORKERS) as pool:
        return [each for each, took in zip(services, pool.map(taken, services), strict=True) if took]


def pod_of(name: str, spec: Json) -> Json:
    """The pod that a service's Deployment makes, under a service account that exists here."""
    template = copy.deepcopy(children(make_service(name, "shop", **spec))["Deployment"]["spec"]["template"])
    template["spec"]["serviceAccountName"] = "default"
    return {"apiVersion": "v1", "kind": "Pod", **template}


def refusal(create: Callable[[], object]) -> str:
    """What the API server says against it; empty when it may be created. Raises ApiException for a fault of its own."""
    try:
        create()
    except ApiException as error:
        if error.status not in {403, 422}:
            raise
        return str(error.body)
    return ""


def refusals(cluster: Cluster, namespace: str, pods: Iterable[Json]) -> list[str]:
    api = CoreV1Api(cluster.api)

    def asked(number: int, pod: Json) -> str:
        body = {**pod, "metadata": {**pod["metadata"], "name": f"pod-{number}"}}
        return refusal(partial(api.create_namespaced_pod, namespace, body, dry_run="All"))  # type: ignore[arg-type]  # it takes JSON as well

    with ThreadPoolExecutor(WORKERS) as pool:
        return [answer for answer in pool.map(asked, itertools.count(), pods) if answer]


def test_two_thousand_services_are_restricted(api_cluster: Cluster, namespace: str) -> None:
    api_cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    wait_established(api_cluster, CRD)
    services = accepted(api_cluster, namespace, drawn())

    assert len(services) >= SERVICES
    assert refusals(api_cluster, namespace, [pod_of(name, spec) for name, spec in services]) == []


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("pod", "hostNetwork", True),
        ("pod", "securityContext", {"runAsUser": 0}),
        ("container", "securityContext", {"privileged": True}),
        ("container", "securityContext", {}),
    ],
    ids=["host network", "root", "privileged", "no security context"],
)
def test_one_that_is_not_restricted_is_refused(
    api_cluster: Cluster, namespace: str, where: str, field: str, value: Any
) -> None:
    pod = pod_of("catalog", {})
    (pod["spec"] if where == "pod" else pod["spec"]["containers"][0])[field] = value

    (answer,) = refusals(api_cluster, namespace, [pod])
    assert "violates PodSecurity" in answer
