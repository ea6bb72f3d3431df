"""S01: the operator has every right that it needs and none that it does not, as the API server's audit log has it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.audit import AuditLog, Call
from e2e.cluster.providers import Cluster
from e2e.crds import install_every_kind
from e2e.eventually import eventually
from productionservice import labels
from productionservice.api import API_VERSION, KIND
from productionservice.children import CHILDREN
from productionservice.rbac import Rule, cluster_rules, lease_rules, rules
from tests.api.operator_process import ACCOUNT, OperatorProcess
from tests.api.team import Team
from tests.support.builders import children, make_service

pytestmark = pytest.mark.api

Grant = tuple[str, str, str, str]
"""Verb, group, resource, and the one name that it is for; empty for all."""
EVERY_CHILD: dict[str, Any] = {
    "replicas": {"min": 2, "max": 4},
    "network": {"allowTo": [{"fqdn": "api.example", "port": 443}]},
    "observability": {"metrics": {"monitor": "Required"}},
    "expose": {"hosts": ["catalog.example"], "tls": {"issuer": {"name": "acme"}}},
}
ON_INGRESS: dict[str, Any] = {
    **EVERY_CHILD,
    "expose": {**EVERY_CHILD["expose"], "ingress": {"className": "nginx"}},
}
"""The one kind that goes with no Gateway."""


def every_child(namespace: str = "shop") -> dict[str, Any]:
    """One child of each kind."""
    specs = (ON_INGRESS, EVERY_CHILD)
    return {
        kind: m for spec in specs for kind, m in children(make_service(namespace=namespace, **spec)).items()
    }


@pytest.fixture
def watched(api_cluster: Cluster, tmp_path: Path) -> Iterator[tuple[OperatorProcess, AuditLog]]:
    """An operator, and the audit log from before its start."""
    install_every_kind(api_cluster)
    log = AuditLog(api_cluster.audit_log)
    process = OperatorProcess(api_cluster, f"system-{uuid.uuid4().hex[:8]}", tmp_path)
    process.install()
    process.start()
    yield process, log
    process.kill()
    api_cluster.kubectl("delete", "namespace", process.home, "--wait=false")


def grants(granted: list[Rule]) -> set[Grant]:
    return {
        (verb, group, resource, name)
        for rule in granted
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def needed(calls: set[Call]) -> set[Grant]:
    """The rights that these requests took. A server-side apply that makes an object takes `create` as well."""
    found: set[Grant] = set()
    for call in calls:
        name = call.name if call.resource == "leases" and call.verb != "create" else ""
        found.add((call.verb, call.group, call.resource, name))
        if call.verb == "patch" and call.code == 201:
            found.add(("create", call.group, call.resource, name))
    return found


def in_the_way(team: Team) -> None:
    """Objects of somebody else under the names of all children: whose they are has to be asked for."""
    for child in every_child(team.namespace).values():
        metadata = {"name": child["metadata"]["name"]}
        stripped = {key: value for key, value in child.items() if key != "metadata"} | {"metadata": metadata}
        team.create(stripped)

    def refused() -> None:
        service = team.get("psvc")
        assert service["status"]["observedGeneration"] == service["metadata"]["generation"]
        assert team.condition("Applied")["reason"] == "NotOwned"
        names = [(child["kind"], child["name"]) for child in service["status"]["children"] if child["ready"]]
        assert names in ([], [("HTTPRoute", "catalog.redirect")])

    for spec in (EVERY_CHILD, ON_INGRESS):
        team.apply(**spec)
        eventually(refused, timeout=30)
    for kind, _ in CHILDREN:
        team.kubectl("delete", kind.plural, "--all", "--wait=true")
    for spec in (ON_INGRESS, EVERY_CHILD):
        team.apply(**spec)
        team.converged()


def surplus(team: Team) -> None:
    """One object of each kind that the service controls and does not want: it is to be deleted."""
    uid = team.get("psvc")["metadata"]["uid"]
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": "catalog", "uid": uid, "controller": True}
    for child in every_child(team.namespace).values():
        metadata = {"name": "surplus", "labels": {labels.SERVICE: "catalog"}, "ownerReferences": [owner]}
        team.create({**child, "metadata": metadata})

    def gone() -> None:
        assert [kind.kind for kind, _ in CHILDREN if team.exists(kind.plural, "surplus")] == []

    eventually(gone, timeout=30)


def told_twice(team: Team) -> None:
    """The same thing happens again: one Event counts both."""
    team.repair()
    team.repair()


def test_s01_every_right_is_used_and_every_request_allowed(
    watched: tuple[OperatorProcess, AuditLog], namespace: str, tmp_path: Path
) -> None:
    process, log = watched
    team = Team(process.cluster, process, namespace, tmp_path)
    in_the_way(team)
    surplus(team)
    told_twice(team)
    assert process.stop() == 0
    granted = grants([*cluster_rules(), *lease_rules(ACCOUNT)])

    def all_used() -> None:
        assert sorted(granted - needed(log.calls(process.user))) == []

    eventually(all_used, timeout=10)  # the log is written a moment later
    calls = log.calls(process.user)
    assert sorted(needed(calls) - granted) == []
    assert [call for call in calls if not call.allowed] == []


def test_s01_rights_are_never_wide() -> None:
    everything = grants([*cluster_rules(), *lease_rules(ACCOUNT)])

    assert [grant for grant in everything if "*" in grant] == []
    forbidden = {"escalate", "bind", "impersonate", "deletecollection", "update"}
    assert {verb for verb, _, resource, _ in everything if resource != "leases"} & forbidden == set()
    assert {resource for _, _, resource, _ in everything} & {
        "pods/exec", "nodes", "roles", "clusterroles", "rolebindings", "validatingwebhookconfigurations",
    } == set()  # fmt: skip


def test_s01_without_the_right_to_look_at_secrets_the_operator_says_so_and_goes_on(
    api_cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    blind = [rule for group, found in rules().items() if group != "references" for rule in found]
    process = OperatorProcess(api_cluster, f"system-{uuid.uuid4().hex[:8]}", tmp_path, rules=blind)
    process.install()
    process.start()
    try:
        team = Team(api_cluster, process, namespace, tmp_path)
        secret = {"secretKeyRef": {"name": "db", "key": "password"}}
        team.apply(env=[{"name": "PASSWORD", "valueFrom": secret}])
        team.converged()

        assert team.condition("ReferencesReady")["reason"] == "NotLookedAt"
        assert team.exists("deployment")
    finally:
        process.kill()
        api_cluster.kubectl("delete", "namespace", process.home, "--wait=false")
