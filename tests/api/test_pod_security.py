"""Pod Security *restricted*, by the API server's own admission, over two thousand services of all kinds."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from kubernetes.client import ApiException, CoreV1Api

from e2e.cluster.providers import Cluster
from tests.support.builders import children, make_service
from tests.support.specs import names, specs

pytestmark = pytest.mark.api

SERVICES = 2000
WORKERS = 8


def pods_of_services() -> list[dict[str, Any]]:
    """The pod that each service's Deployment makes."""
    made: list[dict[str, Any]] = []

    @settings(max_examples=SERVICES, database=None, suppress_health_check=list(HealthCheck))
    @given(names, specs)
    def collect(name: str, spec: dict[str, Any]) -> None:
        template = children(make_service(name, "shop", **spec))["Deployment"]["spec"]["template"]
        made.append({"apiVersion": "v1", "kind": "Pod", **template})

    collect()
    return made


def refusal(api: CoreV1Api, namespace: str, pod: dict[str, Any], number: int) -> str:
    """What admission says against it; empty when it may be created."""
    body = copy.deepcopy(pod)
    body["metadata"] |= {"name": f"pod-{number}"}
    body["spec"]["serviceAccountName"] = "default"  # each service's own does not exist here
    try:
        api.create_namespaced_pod(namespace, body, dry_run="All")  # type: ignore[arg-type]  # it takes JSON as well
    except ApiException as error:
        return str(error.body)
    return ""


def refusals(cluster: Cluster, namespace: str, pods: list[dict[str, Any]]) -> list[str]:
    api = CoreV1Api(cluster.api)
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(lambda item: refusal(api, namespace, item[1], item[0]), enumerate(pods))
        return [answer for answer in answers if answer]


def test_two_thousand_services_are_restricted(api_cluster: Cluster, namespace: str) -> None:
    pods = pods_of_services()

    assert len(pods) >= SERVICES
    assert refusals(api_cluster, namespace, pods) == []


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
    template = children(make_service())["Deployment"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}
    (pod["spec"] if where == "pod" else pod["spec"]["containers"][0])[field] = value

    (answer,) = refusals(api_cluster, namespace, [pod])
    assert "violates PodSecurity" in answer
