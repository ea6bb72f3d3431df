"""What holds for the children of every valid spec."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from productionservice import labels
from productionservice.children import Manifest
from productionservice.diff import ATOMIC_MAPS, CLOSED_FIELDS, MERGE_KEYS, _contains, _differences, drift
from productionservice.effective import compute_effective
from productionservice.plan import Action
from tests.support.builders import make_service, observe, plan_for, rendered
from tests.support.specs import names, specs

NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def build(name: str, spec: dict[str, Any]) -> tuple[Manifest, ...]:
    return rendered(make_service(name=name, **spec))


def walk(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value of a manifest with its path."""
    yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from walk(value, (*path, key))


@given(names, specs)
def test_equal_specs_give_equal_children(name: str, spec: dict[str, Any]) -> None:
    assert build(name, spec) == build(name, copy.deepcopy(spec))


@given(names, specs)
def test_names_and_labels_are_valid(name: str, spec: dict[str, Any]) -> None:
    for manifest in build(name, spec):
        assert NAME.fullmatch(manifest["metadata"]["name"].removesuffix(".redirect"))
        for path, value in walk(manifest):
            if path and path[-1] in {"labels", "matchLabels"}:
                assert all(LABEL_VALUE.fullmatch(text) for text in value.values()), path


@given(names, specs)
def test_nothing_is_empty_and_nothing_is_a_status(name: str, spec: dict[str, Any]) -> None:
    # The API server drops what is empty: it would be missed at every pass. An empty argument is a value, and an empty
    # group is the name of the core group, with which it fills in references of Gateway API.
    for manifest in build(name, spec):
        assert "status" not in manifest
        given = [(p, v) for p, v in walk(manifest) if "args" not in p and (not p or p[-1] != "group")]
        empty = [path for path, value in given if value in (None, "", [], {})]
        assert empty == []


@given(names, specs, specs)
def test_selectors_depend_on_the_name_alone(name: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    def selectors(spec: dict[str, Any]) -> list[Any]:
        return [
            value
            for manifest in build(name, spec)
            for path, value in walk(manifest)
            if path[:1] == ("spec",) and path[-1] in {"selector", "podSelector"} and len(path) == 2
        ]

    assert selectors(one) == selectors(other)
    assert len(selectors(one)) == 5  # NetworkPolicy, Service, Deployment, PodDisruptionBudget, ServiceMonitor


@given(names, specs)
def test_every_pod_is_selected_by_its_service(name: str, spec: dict[str, Any]) -> None:
    found = {manifest["kind"]: manifest for manifest in build(name, spec)}
    pod = found["Deployment"]["spec"]["template"]

    assert labels.selector_labels(name).items() <= pod["metadata"]["labels"].items()
    assert found["Service"]["spec"]["selector"] == labels.selector_labels(name)


@given(names, specs)
def test_the_manifest_never_says_how_many_pods(name: str, spec: dict[str, Any]) -> None:
    [deployment] = [m for m in build(name, spec) if m["kind"] == "Deployment"]

    assert "replicas" not in deployment["spec"]


@given(specs, st.randoms(use_true_random=False))
def test_what_a_server_adds_is_no_drift(spec: dict[str, Any], random: Any) -> None:
    for manifest in build("catalog", spec):
        assert drift(manifest, manifest) == []
        assert drift(manifest, _served(manifest, random)) == []


@given(specs, st.data())
def test_any_changed_value_is_drift(spec: dict[str, Any], data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from(build("catalog", spec)))
    leaves = [path for path, value in walk(manifest) if not isinstance(value, dict | list)]
    *parents, last = data.draw(st.sampled_from([p for p in leaves if p[0] not in {"apiVersion", "kind"}]))
    live = copy.deepcopy(manifest)
    place: Any = live
    for part in parents:
        place = place[part]
    place[last] = "somebody was here"

    assert len(drift(manifest, live)) == 1


@given(specs)
def test_a_second_pass_writes_nothing(spec: dict[str, Any]) -> None:
    service = make_service(**spec)
    live = [copy.deepcopy(change.manifest) for change in plan_for(service, observe()).changes]
    whole = [m for m in live if m and "annotations" in m["metadata"]]
    for manifest in whole:
        if manifest["kind"] == "Deployment":
            manifest["spec"]["replicas"] = compute_effective(service.spec).replicas_min

    plan = plan_for(service, observe(*whole))

    assert {change.action for change in plan.changes} == {Action.UNCHANGED}


def _served(node: Any, random: Any, field: str = "", *, ours: bool = True) -> Any:
    """`node` as a server may give it back: keys added to merged maps, merged lists longer and reordered."""
    if isinstance(node, dict):
        merged = {
            key: _served(value, random, key, ours=field not in ATOMIC_MAPS) for key, value in node.items()
        }
        return merged if field in ATOMIC_MAPS or not ours else {**merged, "addedByTheServer": 1}
    merges = field in MERGE_KEYS or (field == "ports" and any("containerPort" in item for item in node or []))
    if isinstance(node, list) and merges and ours:
        added = [dict.fromkeys(MERGE_KEYS.get(field, ("containerPort", "protocol")), "added by the server")]
        items = [_served(item, random, ours=ours) for item in node] + added
        random.shuffle(items)
        return items
    return copy.deepcopy(node)


@given(names, specs, st.data())
def test_the_quick_comparison_never_overlooks_a_difference(
    name: str, spec: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever somebody does to a live object: when the quick look says it is as wanted, so does the thorough one."""
    others = st.sampled_from([None, "other", {}, [], {"a": "b"}, [{"name": "x"}]])
    for manifest in build(name, spec):
        live = copy.deepcopy(manifest)
        containers = [node for _, node in walk(live) if isinstance(node, dict | list)]
        for _ in range(data.draw(st.integers(0, 2))):
            node = data.draw(st.sampled_from(containers))
            if isinstance(node, list):
                node.append(data.draw(others))
            else:
                node[data.draw(st.sampled_from([*node, "added"]))] = data.draw(others)
        body = {key: value for key, value in manifest.items() if key not in {"apiVersion", "kind"}}
        if manifest["kind"] not in CLOSED_FIELDS and _contains("", body, live):
            assert list(_differences("", body, live)) == []
