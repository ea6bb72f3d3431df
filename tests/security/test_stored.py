"""Resources that were stored before the CRD had its rules: they are still there, and the operator meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from tests.api.operator_process import CRD
from tests.api.team import Team
from tests.security.tenant import Tenant

pytestmark = pytest.mark.api

IMAGE = {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}
SPECS: dict[str, Any] = {
    "ports": {"image": IMAGE, "port": -1},
    "replicas": {"image": IMAGE, "replicas": {"min": 9, "max": 2}},
    "metadata-address": {
        "image": IMAGE,
        "network": {"allowTo": [{"cidr": "169.254.169.254/32", "port": 80}]},
    },
    "no-range": {"image": IMAGE, "network": {"allowTo": [{"cidr": "x", "port": 80}]}},
    "lists-for-maps": {"image": IMAGE, "network": [], "expose": ["a.example.com"]},
    "texts-for-lists": {
        "image": IMAGE,
        "network": {"allowFrom": "web"},
        "expose": {"hosts": "a.example.com"},
    },
    "numbers-for-texts": {
        "image": IMAGE,
        "network": {"allowFrom": [1, {"service": 2}]},
        "expose": {"hosts": [1]},
    },
    "quantity": {"image": IMAGE, "resources": {"limits": {"memory": "much"}}},
    "image": {"image": {"repository": "Not An Image"}},
}


@contextmanager
def without_rules(cluster: Cluster) -> Iterator[None]:
    """The CRD of a time when everything was let in."""
    crd = yaml.safe_load(CRD.read_text())
    for version in crd["spec"]["versions"]:
        version["schema"] = {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        }
    apply = ("apply", "--server-side", "--force-conflicts", "-f")
    cluster.kubectl(*apply, "-", input=json.dumps(crd))
    try:
        yield
    finally:
        cluster.kubectl(*apply, str(CRD))


def test_s36_what_was_stored_before_a_rule_came_ends_in_a_status_and_harms_nobody_else(
    editor: Tenant, theirs: Team
) -> None:
    def store(name: str) -> None:
        editor.create(SPECS[name], "--validate=false", name=name)

    with without_rules(theirs.cluster):
        for name in SPECS:
            eventually(lambda name=name: store(name), timeout=30)  # type: ignore[misc] # bound at once
    theirs.apply("fine")
    theirs.converged("fine", timeout=60)

    def told() -> None:
        found = {name: theirs.condition("Ready", name) for name in SPECS}
        assert {name: one["reason"] for name, one in found.items()} == dict.fromkeys(SPECS, "InvalidSpec")

    eventually(told, timeout=30)
    assert theirs.operator.process is not None
    assert theirs.operator.process.poll() is None
    theirs.operator.check_ready()
    assert [name for name in SPECS if theirs.exists("deployment", name)] == []
