"""What a spec refers to, what of it is missing, and when pods have to be replaced."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice import labels
from productionservice.children import BuildContext
from productionservice.children.references import missing, references, restart_mark
from tests.support.builders import IMAGE, make_service, rendered

ENV = [
    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
]
DB, SETTINGS = ("Secret", "db"), ("ConfigMap", "settings")


def template(context: BuildContext, **spec: Any) -> dict[str, Any]:
    manifests = {manifest["kind"]: manifest for manifest in rendered(make_service(**spec), context)}
    found: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    return found


def test_every_place_that_can_name_one_is_found() -> None:
    image = {**IMAGE, "pullSecrets": ["registry"]}
    mounts = [
        {"path": "/a", "secret": "tls", "onChange": "Reload"},
        {"path": "/b", "configMap": "flags"},
        {"path": "/c", "scratch": {}},
    ]
    found = references(make_service(image=image, env=ENV, mounts=mounts).spec)

    assert [(r.kind, r.name, r.key, r.restart) for r in found] == [
        ("Secret", "registry", None, False),
        ("Secret", "db", "password", True),
        ("ConfigMap", "settings", "level", True),
        ("Secret", "tls", None, False),
        ("ConfigMap", "flags", None, True),
    ]


@pytest.mark.parametrize(
    ("known", "texts"),
    [
        ({DB: frozenset({"password"}), SETTINGS: frozenset({"level"})}, []),
        ({DB: None, SETTINGS: frozenset({"level"})}, []),
        ({SETTINGS: frozenset({"level"})}, ["Secret db does not exist (spec.env PASSWORD)"]),
        (
            {DB: frozenset({"user"}), SETTINGS: frozenset({"level"})},
            ["Secret db has no key password (spec.env PASSWORD)"],
        ),
    ],
)
def test_what_is_missing_is_named_with_the_place_that_asks_for_it(known: Any, texts: list[str]) -> None:
    assert [found.text for found in missing(make_service(env=ENV).spec, known)] == texts


def test_only_other_content_of_what_pods_cannot_reload_restarts_them() -> None:
    spec = make_service(env=ENV, mounts=[{"path": "/a", "secret": "tls", "onChange": "Reload"}]).spec
    before = restart_mark(spec, {DB: "1", SETTINGS: "1", ("Secret", "tls"): "1"})

    assert restart_mark(spec, {DB: "1", SETTINGS: "1", ("Secret", "tls"): "2"}) == before
    assert restart_mark(spec, {DB: "2", SETTINGS: "1"}) != before


def test_pods_without_references_carry_no_mark() -> None:
    assert labels.RESTART not in template(BuildContext())


def test_a_change_that_the_text_does_not_show_stays_in_the_mark_until_another_one_comes() -> None:
    spec, contents = make_service(env=ENV).spec, {DB: "1", SETTINGS: "1"}
    first = restart_mark(spec, contents)
    again = restart_mark(spec, contents, again={DB: "7"}, live=first)

    assert again not in {first, restart_mark(spec, contents, again={DB: "8"}, live=again)}
    assert restart_mark(spec, contents, live=again) == again, (
        "after a restart of the operator nobody knows of it"
    )
    assert restart_mark(spec, {**contents, DB: "2"}, live=again).partition("-")[0] != first


def test_the_pods_carry_the_mark_that_was_found() -> None:
    assert template(BuildContext(restart_mark="abc"), env=ENV)[labels.RESTART] == "abc"
    assert labels.RESTART not in template(BuildContext(restart_mark=""), env=ENV)
