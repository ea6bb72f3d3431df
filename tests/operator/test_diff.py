"""Drift: where a live object does not contain what is wanted, in the terms of server-side apply."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from productionservice.diff import drift
from tests.support.builders import children, container, make_service

DEPLOYMENT = children(make_service(env=[{"name": "TOKEN", "value": "hunter2"}]))["Deployment"]
POLICY = children(make_service(network={"allowFrom": [{"service": "web"}]}))["NetworkPolicy"]
SERVICE = children(make_service())["Service"]


def edited(manifest: dict[str, Any], *path: str | int, value: Any) -> dict[str, Any]:
    """A copy of the object after somebody edited one place."""
    live = copy.deepcopy(manifest)
    place: Any = live
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return live


CONTAINER = ("spec", "template", "spec", "containers", 0)


def test_an_object_contains_itself() -> None:
    assert drift(DEPLOYMENT, copy.deepcopy(DEPLOYMENT)) == []


def test_items_of_a_list_carry_no_kind() -> None:
    live = {key: value for key, value in DEPLOYMENT.items() if key not in {"apiVersion", "kind"}}

    assert drift(DEPLOYMENT, live) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), {"replicas": 3}),
        (("spec", "replicas"), 7),
        (("metadata", "annotations", "team"), "shop"),
        (("metadata", "labels", "team"), "shop"),
        (("spec", "template", "spec", "nodeSelector"), {"disk": "ssd"}),
        ((*CONTAINER, "imagePullPolicy"), "Always"),
        ((*CONTAINER, "livenessProbe", "successThreshold"), 1),
    ],
)
def test_what_we_do_not_write_is_not_ours(path: tuple[str | int, ...], value: Any) -> None:
    assert drift(DEPLOYMENT, edited(DEPLOYMENT, *path, value=value)) == []


def test_an_injected_container_volume_or_owner_is_not_ours() -> None:
    live = copy.deepcopy(DEPLOYMENT)
    pod = live["spec"]["template"]["spec"]
    pod["containers"].insert(0, {"name": "proxy", "image": "mesh/proxy:v1"})
    pod["volumes"].insert(0, {"name": "mesh", "emptyDir": {}})
    live["metadata"]["ownerReferences"].insert(0, {"uid": "other", "kind": "App", "name": "x"})

    assert drift(DEPLOYMENT, live) == []


def test_the_order_of_merged_lists_means_nothing() -> None:
    live = copy.deepcopy(DEPLOYMENT)
    pod = live["spec"]["template"]["spec"]
    for items in (
        pod["volumes"],
        pod["topologySpreadConstraints"],
        *(pod["containers"][0][k] for k in ("env", "ports")),
    ):
        items.reverse()

    assert drift(DEPLOYMENT, live) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            (*CONTAINER, "image"),
            "evil/image:v1",
            "spec.template.spec.containers[service].image: "
            "wanted registry.example/shop/catalog:v1.4.2, found evil/image:v1",
        ),
        (
            (*CONTAINER, "ports", 0, "containerPort"),
            1,
            "spec.template.spec.containers[service].ports[8000/TCP]: wanted a map, found nothing",
        ),
        (
            (*CONTAINER, "securityContext", "readOnlyRootFilesystem"),
            False,
            "spec.template.spec.containers[service].securityContext.readOnlyRootFilesystem: "
            "wanted True, found False",
        ),
        (
            (*CONTAINER, "securityContext", "capabilities", "drop"),
            ["ALL", "NET_RAW"],
            "spec.template.spec.containers[service].securityContext.capabilities.drop: "
            "wanted a list, found a list",
        ),
        (
            ("spec", "strategy", "rollingUpdate", "maxUnavailable"),
            1,
            "spec.strategy.rollingUpdate.maxUnavailable: wanted 0, found 1",
        ),
        (("spec", "template"), None, "spec.template: wanted a map, found nothing"),
        (("metadata", "labels"), {}, "metadata.labels.app.kubernetes.io/name: wanted catalog, found nothing"),
    ],
)  # fmt: skip
def test_an_edited_field_is_named_with_both_values(
    path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    assert drift(DEPLOYMENT, edited(DEPLOYMENT, *path, value=value))[0] == expected


def test_the_whole_list_is_named_when_it_is_gone() -> None:
    found = drift(DEPLOYMENT, edited(DEPLOYMENT, *CONTAINER, "env", value=None))

    assert found == ["spec.template.spec.containers[service].env: wanted a list, found nothing"]


def test_values_of_variables_and_annotations_are_never_said() -> None:
    live = edited(DEPLOYMENT, *CONTAINER, "env", 1, "value", value="hunter3")
    live["metadata"]["annotations"] = {}

    found = drift(DEPLOYMENT, live)

    assert found == [
        "metadata.annotations.productionservice.io/applied-digest: missing",
        "spec.template.spec.containers[service].env[TOKEN].value: changed",
    ]
    assert (
        container(make_service(env=[{"name": "TOKEN", "value": "hunter2"}]))["env"][1]["value"] == "hunter2"
    )


def test_a_long_value_is_cut() -> None:
    found = drift(DEPLOYMENT, edited(DEPLOYMENT, *CONTAINER, "image", value="x" * 500))

    assert len(found[0]) < 200


@pytest.mark.parametrize(
    ("manifest", "path", "value", "place"),
    [
        (SERVICE, ("spec", "selector", "extra"), "label", "spec.selector"),
        (POLICY, ("spec", "podSelector", "matchLabels", "extra"), "label", "spec.podSelector"),
        (POLICY, ("spec", "ingress", 0, "from", 0, "namespaceSelector"), {}, "spec.ingress"),
        (POLICY, ("spec", "egress", 0, "ports", 0, "port"), 54, "spec.egress"),
        (POLICY, ("spec", "policyTypes"), ["Ingress"], "spec.policyTypes"),
    ],
)
def test_a_selector_or_rule_that_was_widened_is_drift(
    manifest: dict[str, Any], path: tuple[str | int, ...], value: Any, place: str
) -> None:
    # An apply writes these whole; comparing key by key would leave a hole open that somebody made by hand.
    found = drift(manifest, edited(manifest, *path, value=value))

    assert [line.partition(":")[0] for line in found] == [place]


def test_a_port_added_to_the_service_or_changed_is_drift() -> None:
    extra = {"name": "extra", "port": 81, "protocol": "TCP", "targetPort": 81}
    live = edited(SERVICE, "spec", "ports", value=[extra, *SERVICE["spec"]["ports"]])

    assert drift(SERVICE, live) == ["spec.ports: 1 more than wanted"]
    assert drift(SERVICE, edited(SERVICE, "spec", "ports", 0, "targetPort", value=81)) == [
        "spec.ports[80/TCP].targetPort: wanted http, found 81"
    ]


def test_rules_in_a_policy_that_has_none_are_drift() -> None:
    unwatched = {"metrics": {"monitor": "Off"}}
    closed = children(make_service(observability=unwatched))["NetworkPolicy"]

    assert "ingress" not in closed["spec"]
    assert drift(closed, edited(closed, "spec", "ingress", value=[{}])) == ["spec.ingress: not wanted"]
    assert drift(closed, edited(closed, "spec", "ingress", value=[])) == []
