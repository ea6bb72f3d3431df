"""What a tenant can and cannot do on a real API server: somebody with the role `edit` in one namespace."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.providers import Cluster
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.chart.rendering import of_kind, render
from tests.security.payloads import ANNOTATIONS, METADATA, TEXTS
from tests.support.shop import refusal

pytestmark = pytest.mark.api

IMAGE = {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}
HOSTILE_FIELDS: dict[str, Any] = {
    "serviceAccountName": "default", "hostNetwork": True, "hostPID": True, "hostIPC": True, "nodeName": "node-1",
    "nodeSelector": {"x": "y"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "system-node-critical",
    "runtimeClassName": "none", "schedulerName": "mine", "securityContext": {"runAsUser": 0},
    "containers": [{"name": "x", "image": "y"}], "initContainers": [{"name": "x", "image": "y"}],
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}], "annotations": {"a": "b"}, "labels": {"a": "b"},
    "podTemplate": {}, "namespace": "kube-system",
}  # fmt: skip


@dataclass(frozen=True)
class Tenant:
    """Somebody in one namespace."""

    cluster: Cluster
    namespace: str
    user: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl(f"--as={self.user}", "-n", self.namespace, *arguments, **options)

    def can(self, verb: str, *resource: str, namespace: str = "") -> bool:
        """The API server's own answer."""
        where = namespace or self.namespace
        try:
            self.cluster.kubectl("auth", "can-i", verb, *resource, f"--as={self.user}", "-n", where)
        except subprocess.CalledProcessError:
            return False
        return True

    def create(self, spec: dict[str, Any], *flags: str, annotations: dict[str, str] | None = None) -> str:
        manifest = catalog(spec, annotations or {})
        return self.kubectl("create", *flags, "-f", "-", input=json.dumps(manifest))

    def create_raw(self, spec: dict[str, Any]) -> str:
        """The request as it is written here: kubectl reads a file as YAML, which folds lines at U+0085 and U+2028."""
        path = f"/apis/productionservice.io/v1alpha1/namespaces/{self.namespace}/productionservices"
        return self.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(catalog(spec, {})))


def catalog(spec: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "productionservice.io/v1alpha1",
        "kind": "ProductionService",
        "metadata": {"name": "catalog", "annotations": annotations},
        "spec": {"image": IMAGE, **spec},
    }


@pytest.fixture(scope="module")
def roles(api_cluster: Cluster, operator: OperatorProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The chart's roles for users, beside the operator's CRD."""
    assert operator.process is not None
    path = tmp_path_factory.mktemp("roles") / "roles.json"
    made = [m for m in of_kind(render(), "ClusterRole") if m["metadata"]["name"].endswith(("-view", "-edit"))]
    assert len(made) == 2
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    api_cluster.kubectl("apply", "-f", str(path))


def bound(cluster: Cluster, namespace: str, role: str) -> Tenant:
    user = f"{role}-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("-n", namespace, "create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    return Tenant(cluster, namespace, user)


@pytest.fixture
def editor(api_cluster: Cluster, roles: None, namespace: str) -> Tenant:  # noqa: ARG001 - for its effect
    return bound(api_cluster, namespace, "edit")


@pytest.fixture
def viewer(api_cluster: Cluster, roles: None, namespace: str) -> Tenant:  # noqa: ARG001 - for its effect
    return bound(api_cluster, namespace, "view")


@pytest.fixture
def theirs(editor: Tenant, operator: OperatorProcess, tmp_path: Path) -> Team:
    """The editor's namespace as the tests see it."""
    return Team(editor.cluster, operator, editor.namespace, tmp_path)


def test_s01_view_looks_and_edit_writes_and_neither_writes_the_status(viewer: Tenant, editor: Tenant) -> None:
    services = "productionservices.productionservice.io"
    for verb in ("get", "list", "watch"):
        assert viewer.can(verb, services)
        assert editor.can(verb, services)
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        assert not viewer.can(verb, services)
        assert editor.can(verb, services)
    for verb in ("update", "patch"):
        assert not editor.can(verb, services, "--subresource=status")


def test_s02_a_role_in_one_namespace_is_none_in_another(editor: Tenant) -> None:
    assert not editor.can("create", "productionservices.productionservice.io", namespace="kube-system")
    assert "forbidden" in refusal(lambda: editor.kubectl("-n", "kube-system", "get", "productionservices"))


@pytest.mark.parametrize("field", HOSTILE_FIELDS)
def test_s04_s06_s19_fields_that_reach_the_node_are_none(editor: Tenant, field: str) -> None:
    spec = {field: HOSTILE_FIELDS[field]}
    said = refusal(lambda: editor.create(spec, "--dry-run=server", "--validate=strict"))

    assert field in said
    assert "unknown field" in said


def test_s06_what_is_smuggled_past_the_client_is_dropped(editor: Tenant, theirs: Team) -> None:
    editor.create(HOSTILE_FIELDS, "--validate=false")
    theirs.converged()
    stored, pod = theirs.get("psvc")["spec"], theirs.get("deployment")["spec"]["template"]["spec"]

    assert stored.keys() & HOSTILE_FIELDS.keys() == set()
    assert pod.get("hostNetwork", False) is False
    assert pod["serviceAccountName"] == "catalog"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"nodeSelector", "nodeName", "tolerations", "priorityClassName"} & pod.keys() == set()
    assert [volume for volume in pod["volumes"] if "hostPath" in volume] == []


def test_s09_no_metadata_address_is_a_peer_nor_its_twin_behind_nat64(editor: Tenant) -> None:
    twins = [f"64:ff9b::{one}" for one in METADATA if "." in one]
    ranges = [str(ip_network(one)) for one in (*METADATA, *twins)]
    peers = [{"cidr": range_, "port": 80} for range_ in ranges]
    said = refusal(lambda: editor.create({"network": {"allowTo": peers}}, "--dry-run=server"))

    for index, range_ in enumerate(ranges):
        assert f"spec.network.allowTo[{index}].cidr" in said, range_
    assert "hands out credentials" in said


def test_s08_no_annotation_of_the_service_reaches_a_child(editor: Tenant, theirs: Team) -> None:
    editor.create({}, annotations=dict.fromkeys(ANNOTATIONS, "proxy_pass http://elsewhere;"))
    theirs.converged()
    for kind in ("serviceaccount", "service", "deployment", "networkpolicy", "poddisruptionbudget"):
        child = theirs.get(kind)
        template = child["spec"].get("template", {}).get("metadata", {}) if "spec" in child else {}
        for metadata in (child["metadata"], template):
            assert set(metadata.get("annotations", {})) & set(ANNOTATIONS) == set()


def test_s15_two_hundred_texts_arrive_as_they_were_written(editor: Tenant, theirs: Team) -> None:
    assert len(TEXTS) >= 190
    for start in (0, 128):
        wanted = {f"V{number}": text for number, text in enumerate(TEXTS[start : start + 128])}
        theirs.kubectl("delete", "psvc", "catalog", "--ignore-not-found", "--wait=true")
        editor.create_raw({"env": [{"name": name, "value": text} for name, text in wanted.items()]})
        theirs.converged(
            timeout=90
        )  # the first batch's children are collected first: 30 s on a young cluster
        container = theirs.get("deployment")["spec"]["template"]["spec"]["containers"][0]
        found = {each["name"]: each["value"] for each in container["env"] if each["name"] in wanted}
        # The kubelet reads $$ as $: so nothing in a value is taken for the name of another variable.
        assert found == {name: text.replace("$", "$$") for name, text in wanted.items()}
        theirs.kubectl("delete", "deployment", "catalog", "--ignore-not-found", "--wait=true")


def test_s20_more_than_the_bounds_is_refused_by_name(editor: Tenant) -> None:
    bounds: dict[str, Any] = {
        "env": [{"name": f"V{n}", "value": "x"} for n in range(129)],
        "args": ["x"] * 65,
        "mounts": [{"path": f"/m/{n}", "scratch": {}} for n in range(33)],
        "network": {"allowTo": [{"service": f"s{n}"} for n in range(65)]},
        "replicas": {"min": 501},
    }
    for field, value in bounds.items():
        spec = {field: value}
        said = refusal(partial(editor.create, spec, "--dry-run=server"))
        assert f"spec.{field}" in said
