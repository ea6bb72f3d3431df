"""What a tenant could abuse is not in the resource at all, or bounded: accounts, hosts, scheduling, sheer size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from productionservice.api.crdgen import custom_resource_definition
from productionservice.api.v1alpha1 import MOST_TEXT
from tests.support.builders import children, make_service
from tests.support.leaves import schema_leaves
from tests.support.specs import specs

ABSENT = {
    "serviceaccountname", "serviceaccount", "nodeselector", "nodename", "affinity", "tolerations", "priorityclassname",
    "priority", "schedulername", "runtimeclassname", "hostpath", "hostnetwork", "hostpid", "hostipc", "hostport",
    "privileged", "capabilities", "securitycontext", "sysctls", "procmount", "namespace", "annotations", "selector",
}  # fmt: skip

OFFERED_BY_THE_PLATFORM = {"expose.gateway.namespace"}
"""Names one of the Gateways of the operator's own configuration; any other has no effect."""


def test_no_field_reaches_beyond_the_services_own_pods() -> None:
    paths = schema_leaves() - OFFERED_BY_THE_PLATFORM
    parts = {part for path in paths for part in path.replace("[]", "").lower().split(".")}

    assert {"image", "repository", "replicas"} <= parts
    assert parts & ABSENT == set()


def test_nothing_unknown_is_kept() -> None:
    text = str(custom_resource_definition())

    assert "x-kubernetes-preserve-unknown-fields" not in text
    assert "additionalProperties" not in text


@pytest.mark.parametrize(
    "field", ["nodeSelector", "tolerations", "priorityClassName", "affinity", "hostNetwork"]
)
@given(spec=specs)
def test_pods_are_scheduled_by_the_platform_alone(field: str, spec: dict[str, Any]) -> None:
    pod = children(make_service(**spec))["Deployment"]["spec"]["template"]["spec"]

    assert field not in pod
    assert pod["serviceAccountName"] == "catalog"
    assert pod["automountServiceAccountToken"] is False


def test_the_largest_service_makes_children_that_the_api_server_stores_with_ease() -> None:
    """Every list as long as the schema lets it be, every name as long as is usual, all of the text."""
    name = "n" * 50
    text = "x" * (MOST_TEXT // 256)
    service = make_service(
        name="n" * 63,
        command=[text] * 64,
        args=[text] * 64,
        env=[{"name": f"{name}{index}", "value": text} for index in range(128)],
        mounts=[{"path": f"/{'p' * 200}{index}", "secret": f"{name}{index}"} for index in range(32)],
        network={
            "allowFrom": [{"service": f"{name}{index}"} for index in range(64)],
            "allowTo": [{"cidr": f"10.{index}.0.0/16", "port": 443} for index in range(64)],
        },
    )

    made = children(service)

    assert sum(len(json.dumps(child)) for child in made.values()) < 200 * 1024
