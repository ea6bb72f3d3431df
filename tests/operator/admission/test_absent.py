"""What a tenant could abuse is not in the resource at all (security catalogue: service accounts, hosts, scheduling)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from productionservice.api.crdgen import custom_resource_definition
from tests.support.builders import children, make_service
from tests.support.leaves import schema_leaves
from tests.support.specs import specs

ABSENT = {
    "serviceaccountname", "serviceaccount", "nodeselector", "nodename", "affinity", "tolerations", "priorityclassname",
    "priority", "schedulername", "runtimeclassname", "hostpath", "hostnetwork", "hostpid", "hostipc", "hostport",
    "privileged", "capabilities", "securitycontext", "sysctls", "procmount", "namespace", "annotations", "selector",
}  # fmt: skip


def test_no_field_reaches_beyond_the_services_own_pods() -> None:
    parts = {part for path in schema_leaves() for part in path.replace("[]", "").lower().split(".")}

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
