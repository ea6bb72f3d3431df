"""What a tenant can and cannot do on a real API server: somebody with the role `edit` in one namespace."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest

from productionservice import labels
from productionservice.children import CHILDREN
from productionservice.effective import NEVER_REACHED, contains
from tests.api.operator_process import ACCOUNT, OperatorProcess
from tests.api.team import Team
from tests.security.payloads import ANNOTATIONS, METADATA, TEXTS
from tests.security.tenant import Tenant, many_children
from tests.security.test_rights import EVERY_CHILD
from tests.support.builders import children, make_service
from tests.support.shop import refusal

pytestmark = pytest.mark.api

HOSTILE_FIELDS: dict[str, Any] = {
    "serviceAccountName": "default", "hostNetwork": True, "hostPID": True, "hostIPC": True, "nodeName": "node-1",
    "nodeSelector": {"x": "y"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "system-node-critical",
    "runtimeClassName": "none", "schedulerName": "mine", "securityContext": {"runAsUser": 0},
    "containers": [{"name": "x", "image": "y"}], "initContainers": [{"name": "x", "image": "y"}],
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}], "annotations": {"a": "b"}, "labels": {"a": "b"},
    "podTemplate": {}, "namespace": "kube-system",
}  # fmt: skip


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


def test_s01_nobody_gets_at_the_operators_account(editor: Tenant, operator: OperatorProcess) -> None:
    for verb, *resource in (
        ("create", "serviceaccounts", "--subresource=token"),
        ("impersonate", "serviceaccounts"),
        ("get", "secrets"),
        ("create", "pods"),
        ("update", "leases.coordination.k8s.io"),
    ):
        assert not editor.can(verb, *resource, namespace=operator.home), (verb, resource)
    said = refusal(lambda: editor.kubectl("-n", operator.home, "create", "token", ACCOUNT))
    assert "forbidden" in said


def test_s02_a_role_in_one_namespace_is_none_in_another(editor: Tenant) -> None:
    assert not editor.can("create", "productionservices.productionservice.io", namespace="kube-system")
    assert "forbidden" in refusal(lambda: editor.kubectl("-n", "kube-system", "get", "productionservices"))


FOREIGN: dict[str, Any] = {
    "network.allowFrom[0].service": {"network": {"allowFrom": [{"service": "kube-system/web"}]}},
    "network.allowTo[0].service": {"network": {"allowTo": [{"service": "web.kube-system"}]}},
    "mounts[0].secret": {"mounts": [{"path": "/a", "secret": "kube-system/db"}]},
    "mounts[0].configMap": {"mounts": [{"path": "/a", "configMap": "../kube-system/settings"}]},
    "image.pullSecrets[0]": {"image": {"repository": "a/b", "tag": "v1", "pullSecrets": ["kube-system/registry"]}},
    "env[0].valueFrom.secretKeyRef.name": {
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "kube-system/db", "key": "k"}}}]
    },
    "env[0].valueFrom.configMapKeyRef.name": {
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kube-system/x", "key": "k"}}}]
    },
    "expose.tls.issuer.name": {
        "expose": {"hosts": ["a.example"], "tls": {"issuer": {"kind": "Issuer", "name": "kube-system/acme"}}}
    },
    "expose.ingress.className": {"expose": {"hosts": ["a.example"], "ingress": {"className": "kube-system/nginx"}}},
}  # fmt: skip
"""Every field that names another object, with one of another namespace."""


def test_s02_a_name_reaches_no_other_namespace(editor: Tenant) -> None:
    for field, spec in FOREIGN.items():
        assert f"spec.{field}" in refusal(partial(editor.create, spec, "--dry-run=server"))


def test_s02_every_child_of_a_tenants_service_is_where_the_tenant_is(editor: Tenant, theirs: Team) -> None:
    name = f"only-{editor.namespace}"[:63]
    spec = many_children(editor.namespace)
    editor.create({**spec, "namespace": "kube-system"}, "--validate=false", name=name)
    theirs.converged(name)
    kinds = ",".join(kind.plural for kind, _ in CHILDREN)
    selector = f"{labels.SERVICE}={name}"
    found = json.loads(theirs.cluster.kubectl("get", kinds, "-A", "-l", selector, "-o", "json"))["items"]

    assert {child["kind"] for child in found} == children(make_service(name, **spec)).keys()
    assert {child["metadata"]["namespace"] for child in found} == {editor.namespace}


@pytest.mark.parametrize("field", HOSTILE_FIELDS)
def test_s04_s06_s19_fields_that_reach_the_node_are_none(editor: Tenant, field: str) -> None:
    spec = {field: HOSTILE_FIELDS[field]}
    said = refusal(lambda: editor.create(spec, "--dry-run=server", "--validate=strict"))

    assert field in said
    assert "unknown field" in said


def test_s04_s06_s19_what_is_smuggled_past_the_client_is_dropped(editor: Tenant, theirs: Team) -> None:
    editor.create(HOSTILE_FIELDS, "--validate=false")
    theirs.converged()
    stored, pod = theirs.get("psvc")["spec"], theirs.get("deployment")["spec"]["template"]["spec"]

    assert stored.keys() & HOSTILE_FIELDS.keys() == set()
    assert pod.get("hostNetwork", False) is False
    assert pod["serviceAccountName"] == "catalog"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"nodeSelector", "nodeName", "tolerations", "priorityClassName"} & pod.keys() == set()
    assert [volume for volume in pod["volumes"] if "hostPath" in volume] == []


def test_s04_the_account_of_a_service_has_no_right(editor: Tenant, theirs: Team) -> None:
    """The role `edit` may act as any account of its namespace: that of a service is no way up."""
    editor.create({})
    theirs.converged()
    account = Tenant(editor.cluster, editor.namespace, f"system:serviceaccount:{editor.namespace}:catalog")

    for resource in ("secrets", "pods", "deployments.apps", "productionservices.productionservice.io"):
        for verb in ("get", "list", "create", "patch", "delete"):
            assert not account.can(verb, resource), (verb, resource)


def test_s09_no_metadata_address_is_a_peer_nor_its_twin_behind_nat64(editor: Tenant) -> None:
    twins = [f"64:ff9b::{one}" for one in METADATA if "." in one]
    ranges = [str(ip_network(one)) for one in (*METADATA, *twins)]
    peers = [{"cidr": range_, "port": 80} for range_ in ranges]
    said = refusal(lambda: editor.create({"network": {"allowTo": peers}}, "--dry-run=server"))

    for index, range_ in enumerate(ranges):
        assert f"spec.network.allowTo[{index}].cidr" in said, range_
    assert "hands out credentials" in said


def test_s09_no_range_is_open_at_every_port_and_a_wide_one_has_holes(editor: Tenant, theirs: Team) -> None:
    """All that the rules let in beside the link-local addresses, as a tenant would write them one by one."""
    everything = IPv4Network("0.0.0.0/0").address_exclude(IPv4Network("169.254.0.0/16"))
    wide = [{"cidr": str(part), "port": 80} for part in everything]
    for peers, field in (
        ([{"cidr": "10.0.0.0/8"}], "allowTo[0].port"),
        ([{"cidr": "0.0.0.0/0", "port": 80}], "allowTo[0].cidr"),
        ([{"cidr": "0.0.0.0/0"}], "allowFrom[0].cidr"),
        ([{}], "allowFrom[0]"),
        ([{}], "allowTo[0]"),
    ):
        network: dict[str, Any] = {field.partition("[")[0]: peers}
        said = refusal(partial(editor.create, {"network": network}, "--dry-run=server"))
        assert f"spec.network.{field}" in said
    editor.create({"network": {"allowTo": wide}})
    theirs.converged()
    egress = theirs.get("networkpolicy")["spec"]["egress"]
    blocks = [peer["ipBlock"] for rule in egress for peer in rule["to"] if "ipBlock" in peer]

    assert len(blocks) == len(wide)
    for never in (one for one in NEVER_REACHED if one.version == 4):
        opening = [block for block in blocks if contains(ip_network(block["cidr"]), never)]
        holes = [ip_network(hole) for block in opening for hole in block.get("except", [])]
        assert not opening or any(contains(hole, never) for hole in holes), never


def test_s08_no_annotation_of_the_service_reaches_a_child(editor: Tenant, theirs: Team) -> None:
    spec = many_children(editor.namespace)
    editor.create(spec, annotations=dict.fromkeys(ANNOTATIONS, "proxy_pass http://elsewhere;"))
    theirs.converged()
    for kind in children(make_service(**spec)):
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


def test_s20_the_largest_service_that_is_let_in_is_small(editor: Tenant, theirs: Team) -> None:
    """As the API server keeps its children, its notes about who wrote which field included."""
    secret = "s" * 60
    editor.kubectl("create", "secret", "generic", secret)
    peers = [{"cidr": "10.20.0.0/16", "port": port} for port in range(1, 65)]
    editor.create({
        **many_children(editor.namespace),
        "env": [{"name": f"V{n}", "value": "x" * 400} for n in range(128)],
        "args": ["y" * 180] * 64,
        "mounts": [{"path": f"/mnt/{n}", "secret": secret} for n in range(32)],
        "network": {"allowFrom": [{"service": f"caller-{n}"} for n in range(64)], "allowTo": peers},
    })  # fmt: skip
    theirs.converged()

    kinds = ",".join(kind.plural for kind, _ in CHILDREN)
    selector = ("-l", f"{labels.SERVICE}=catalog")
    found = theirs.kubectl("get", kinds, *selector, "-o", "json", "--show-managed-fields")
    made = json.loads(found)["items"]

    assert len(made) >= len(children(make_service(**EVERY_CHILD)))
    assert sum(len(json.dumps(child)) for child in made) < 200 * 1024
