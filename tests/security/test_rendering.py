"""What no spec, however it is written, can make of the children: pure, over specs of all kinds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from productionservice import labels
from productionservice.api import parse
from productionservice.api.crdgen import spec_schema
from productionservice.children import BuildContext, build_children
from productionservice.effective import NEVER_REACHED, compute_effective, contains
from productionservice.errors import InvalidSpec
from productionservice.plan import Applied, Observed, make_plan
from productionservice.status import compute_status, invalid_status
from tests.security.payloads import ANNOTATIONS, METADATA, TEXTS
from tests.support.builders import children, make_service, rendered
from tests.support.leaves import schema_leaves
from tests.support.specs import names, specs

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CONTEXT = BuildContext(monitoring_namespace="monitoring")
OURS = (f"{labels.DOMAIN}/", "app.kubernetes.io/", "kubectl.kubernetes.io/default-container")


def walk(node: Any) -> list[tuple[str, Any]]:
    """All (key, value) pairs of a document, however deep."""
    if isinstance(node, dict):
        return [pair for key, value in node.items() for pair in ((key, value), *walk(value))]
    return [pair for item in node for pair in walk(item)] if isinstance(node, list) else []


def properties(schema: dict[str, Any]) -> set[str]:
    """Names of all fields of the spec."""
    return {name for key, value in walk(schema) if key == "properties" for name in value}


def spec_fields() -> set[str]:
    return properties(spec_schema())


def test_s02_no_field_names_a_namespace() -> None:
    """But for one, which has an effect only for what the operator's configuration lists."""
    named = {path for path in schema_leaves() if "namespace" in path.lower()}

    assert named == {"expose.gateway.namespace"}


@given(names, names)
def test_s02_a_gateway_of_others_is_not_joined(namespace: str, name: str) -> None:
    expose = {"hosts": ["a.example"], "gateway": {"namespace": namespace, "name": name}}
    made = rendered(make_service("catalog", "shop", expose=expose), CONTEXT)
    joined = [m["spec"]["parentRefs"] for m in made if m["kind"] == "HTTPRoute"]

    assert joined == [] or (namespace, name) == ("edge", "public")


@given(names, specs)
def test_s02_every_child_is_in_the_services_namespace(name: str, spec: dict[str, Any]) -> None:
    service = make_service(name, "shop", **spec)

    assert {child["metadata"]["namespace"] for child in rendered(service, CONTEXT)} == {"shop"}


def test_s04_s06_s19_no_field_reaches_the_node_another_account_or_a_better_place() -> None:
    assert spec_fields() & {
        "serviceAccountName", "hostPath", "hostNetwork", "hostPID", "hostIPC", "privileged", "capabilities",
        "securityContext", "sysctls", "priorityClassName", "tolerations", "nodeSelector", "nodeName", "affinity",
        "runtimeClassName", "schedulerName", "podTemplate", "annotations", "labels",
    } == set()  # fmt: skip


@given(names, specs)
def test_s04_pods_run_under_an_account_of_their_own_without_its_token(
    name: str, spec: dict[str, Any]
) -> None:
    made = children(make_service(name, "shop", **spec))
    pod = made["Deployment"]["spec"]["template"]["spec"]

    assert pod["serviceAccountName"] == made["ServiceAccount"]["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is False
    assert made["ServiceAccount"]["automountServiceAccountToken"] is False


@given(names, names, specs, specs)
def test_s07_two_services_never_select_each_others_pods(
    one: str, other: str, spec: dict[str, Any], another: dict[str, Any]
) -> None:
    if one == other:
        return
    mine, theirs = (
        children(make_service(one, "shop", **spec)),
        children(make_service(other, "shop", **another)),
    )
    pod = theirs["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        mine["Service"]["spec"]["selector"],
        mine["Deployment"]["spec"]["selector"]["matchLabels"],
        mine["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        mine["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert not selector.items() <= pod.items()


@given(names, specs)
def test_s08_annotations_and_labels_are_the_operators_own(name: str, spec: dict[str, Any]) -> None:
    for child in rendered(make_service(name, "shop", **spec), CONTEXT):
        for key, value in [("metadata", child["metadata"]), *walk(child)]:
            if key == "metadata":
                found = {*value.get("annotations", {}), *value.get("labels", {})}
                assert [one for one in found if not one.startswith(OURS)] == []
    assert len(ANNOTATIONS) >= 40


@given(specs)
def test_s09_a_policy_has_no_open_peer_and_never_lets_credentials_be_fetched(spec: dict[str, Any]) -> None:
    policy = children(make_service(**spec))["NetworkPolicy"]["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    for rule in (*policy.get("ingress", ()), *policy["egress"]):
        peers = rule.get("from", rule.get("to", []))
        assert peers, "a rule without peers lets everybody in"
        assert rule["ports"], "a rule without ports opens all of them"
        assert all(peers), "an empty peer is everybody"
    for block in (peer["ipBlock"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer):
        holes = [ip_network(hole) for hole in block.get("except", [])]
        for never in NEVER_REACHED:
            if contains(ip_network(block["cidr"]), never):
                assert any(contains(hole, never) for hole in holes), (block, never)


@given(specs)
def test_s09_a_host_leads_nowhere_that_an_address_range_may_not(spec: dict[str, Any]) -> None:
    """Its owner says where it leads: whatever that is, Cilium lets a denied address go before an allowed one."""
    made = children(make_service(**spec))
    hosts = [peer for peer in spec.get("network", {}).get("allowTo", []) if "fqdn" in peer]
    policy = made.get("CiliumNetworkPolicy")

    assert (policy is not None) == bool(hosts)
    if policy is None:
        return
    rules = policy["spec"]["egress"]
    assert [rule.keys() - {"toPorts"} for rule in rules] == [{"toEndpoints"}, *[{"toFQDNs"} for _ in hosts]]
    assert all(port["port"] != "0" for rule in rules for ports in rule["toPorts"] for port in ports["ports"])
    assert policy["spec"]["egressDeny"] == [{"toCIDR": [str(never) for never in NEVER_REACHED]}]
    assert policy["spec"]["endpointSelector"] == made["NetworkPolicy"]["spec"]["podSelector"]


def test_s09_every_address_of_a_metadata_service_is_shut_and_its_twin_behind_nat64() -> None:
    """The addresses are of the clouds' own manuals, so that one which the product forgets is missed here."""
    for address in METADATA:
        twin = [f"64:ff9b::{address}"] if "." in address else []
        for one in (address, *twin):
            assert any(contains(never, ip_network(one)) for never in NEVER_REACHED), one


@pytest.mark.parametrize("text", TEXTS)
def test_s15_text_stays_text(text: str) -> None:
    """Whatever is in a value: what a parser reads back is what was written, and nothing beside it."""
    service = make_service(env=[{"name": "NOTE", "value": text}], command=[text or "x"], args=[text or "x"])
    manifests = rendered(service, CONTEXT)
    harmless = rendered(
        make_service(env=[{"name": "NOTE", "value": "x"}], command=["x"], args=["x"]), CONTEXT
    )

    assert yaml.safe_load(yaml.safe_dump(list(manifests))) == json.loads(json.dumps(list(manifests)))
    assert [sorted(key for key, _ in walk(m)) for m in manifests] == [
        sorted(key for key, _ in walk(m)) for m in harmless
    ]


@given(names, specs)
def test_s17_a_monitor_reads_no_file_and_no_other_namespace(name: str, spec: dict[str, Any]) -> None:
    spec = {**spec, "observability": {"metrics": {"monitor": "Required"}}}
    monitor = children(make_service(name, "shop", **spec))["ServiceMonitor"]["spec"]

    assert monitor.keys() <= {"selector", "endpoints", "podTargetLabels"}
    assert {key for endpoint in monitor["endpoints"] for key in endpoint} <= {
        "port", "targetPort", "path", "interval", "scrapeTimeout", "honorLabels",
    }  # fmt: skip


def test_s20_the_largest_service_is_small() -> None:
    """Each kept ReplicaSet and each pod has a copy of the template in etcd."""
    many = 128
    spec: dict[str, Any] = {
        "env": [{"name": f"V{n}", "value": "x" * 400} for n in range(many)],
        "args": ["y" * 180] * 64,
        "mounts": [{"path": f"/mnt/{n}", "secret": "s" * 60} for n in range(32)],
        "network": {
            "allowFrom": [{"service": f"caller-{n}"} for n in range(64)],
            "allowTo": [{"cidr": "0.0.0.0/0", "port": n + 1} for n in range(64)],
        },
    }
    made = rendered(make_service(**spec), CONTEXT)

    assert sum(len(json.dumps(manifest)) for manifest in made) < 200 * 1024


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(sorted(spec_fields()))


@given(st.dictionaries(fields, json_values, max_size=6) | specs.flatmap(
    lambda spec: st.dictionaries(fields, json_values, max_size=2).map(lambda odd: {**spec, **odd})
))  # fmt: skip
def test_s36_no_resource_ends_a_pass_otherwise_than_with_a_status(spec: dict[str, Any]) -> None:
    """The CRD refuses most of these; an object stored before a rule came may still be one of them."""
    body = {
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {"image": {"repository": "shop/catalog", "tag": "v1"}, **spec},
    }
    try:
        service = parse(body)
        effective = compute_effective(service.spec)
        desired = build_children(service, effective, CONTEXT)
    except InvalidSpec as error:
        found = invalid_status(generation=1, error=error, previous={}, now=NOW)
        assert found["conditions"][0]["reason"] == "InvalidSpec"
        return
    plan = make_plan(service, effective, desired, Observed("u", {}, synced=True))
    status = compute_status(
        service=service, effective=effective, applied=Applied(()), pods=(), previous={}, now=NOW
    )
    assert plan.changes
    assert status["conditions"]
