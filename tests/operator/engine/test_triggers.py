"""From events to keys."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice import labels
from productionservice.engine.caches import Caches
from productionservice.engine.queue import AsyncQueue, Key, Lane, WorkQueue
from productionservice.engine.triggers import POD_DEBOUNCE_SECONDS, Triggers

KEY: Key = ("shop", "catalog")


def parent(version: int, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    given = {"name": "catalog", "namespace": "shop", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": {**given, "generation": generation, **metadata}, "spec": {}}


def child(version: int, *, label: str | None = "catalog", owner: str | None = "u") -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": "any",
        "namespace": "shop",
        "uid": "c",
        "resourceVersion": str(version),
    }
    if label:
        metadata["labels"] = {labels.SERVICE: label}
    if owner:
        metadata["ownerReferences"] = [{"kind": "X", "name": "y", "uid": owner, "controller": True}]
    return {"metadata": metadata, "spec": {"containers": [{"name": "service", "image": "x"}]}}


class Given:
    def __init__(self) -> None:
        self.now = 0.0
        self.caches = Caches()
        self.core = WorkQueue(lambda: self.now)
        self.triggers = Triggers(self.caches, AsyncQueue(self.core))
        self.triggers.warm = True

    def woken(self) -> list[tuple[Key, Lane]]:
        found = []
        while (work := self.core.pop()) is not None:
            found.append((work.key, work.lane))
            self.core.done(work.key)
        return found

    def knows_the_service(self) -> None:
        self.triggers.parent_event("ADDED", parent(1))
        assert self.woken() == [(KEY, Lane.EDIT)]


@pytest.fixture
def given() -> Given:
    return Given()


def test_a_new_spec_is_urgent_and_our_own_status_is_not(given: Given) -> None:
    given.knows_the_service()
    given.triggers.parent_event("MODIFIED", parent(2, generation=2))
    assert given.woken() == [(KEY, Lane.EDIT)]

    given.triggers.parent_event("MODIFIED", parent(3, generation=2))
    assert given.woken() == [(KEY, Lane.RESYNC)]


def test_the_echo_of_a_write_that_is_known_wakes_nobody(given: Given) -> None:
    given.knows_the_service()
    given.caches.parents.put(parent(5))
    given.triggers.parent_event("MODIFIED", parent(5))

    assert given.woken() == []


def test_what_is_listed_at_start_is_routine(given: Given) -> None:
    given.triggers.warm = False
    given.triggers.parent_event(None, parent(1))

    assert given.woken() == [(KEY, Lane.RESYNC)]


def test_before_the_first_pass_a_child_is_no_news(given: Given) -> None:
    given.knows_the_service()
    given.triggers.warm = False
    delta = given.caches.children["Service"].put(child(1))
    assert delta is not None
    given.triggers.child(delta)

    assert given.woken() == []


def test_a_deleted_service_is_forgotten(given: Given) -> None:
    given.knows_the_service()
    given.triggers.parent_event("DELETED", parent(2))

    assert given.caches.parents.get(KEY) is None


@pytest.mark.parametrize(
    ("label", "owner"), [("catalog", "u"), ("catalog", None), (None, "u"), ("catalog", "other")]
)
def test_a_child_wakes_its_service_by_label_or_owner(
    given: Given, label: str | None, owner: str | None
) -> None:
    given.knows_the_service()
    delta = given.caches.children["Service"].put(child(1, label=label, owner=owner))
    assert delta is not None
    given.triggers.child(delta)

    assert given.woken() == [(KEY, Lane.EDIT)]


@pytest.mark.parametrize(("label", "owner"), [("other", "other"), (None, None)])
def test_others_children_wake_nobody(given: Given, label: str | None, owner: str | None) -> None:
    given.knows_the_service()
    delta = given.caches.children["Service"].put(child(1, label=label, owner=owner))
    assert delta is not None
    given.triggers.child(delta)

    assert given.woken() == []


def test_a_child_that_lost_its_label_wakes_the_service_that_it_had(given: Given) -> None:
    given.knows_the_service()
    given.caches.children["Service"].put(child(1, owner=None))
    delta = given.caches.children["Service"].put(child(2, label=None, owner=None))
    assert delta is not None
    given.triggers.child(delta)

    assert given.woken() == [(KEY, Lane.EDIT)]


def test_pods_wake_their_service_once_for_a_burst_and_not_for_what_does_not_matter(given: Given) -> None:
    given.knows_the_service()
    for version, image in ((1, "x"), (2, "y"), (3, "y")):
        pod = child(version)
        pod["spec"]["containers"][0]["image"] = image
        delta = given.caches.pods.put(pod)
        assert delta is not None
        given.triggers.pod(delta)

    assert given.woken() == []
    given.now += POD_DEBOUNCE_SECONDS
    assert given.woken() == [(KEY, Lane.EDIT)]

    delta = given.caches.pods.put({**pod, "metadata": {**pod["metadata"], "resourceVersion": "4"}})
    assert delta is not None
    given.triggers.pod(delta)
    given.now += 1
    assert given.woken() == []


def test_a_resync_is_routine(given: Given) -> None:
    given.knows_the_service()
    given.triggers.resync()

    assert given.woken() == [(KEY, Lane.RESYNC)]


def test_what_others_write_into_a_child_wakes_it_only_if_a_pass_would_look_at_it(given: Given) -> None:
    given.knows_the_service()
    store = given.caches.children["Deployment"]
    store.put(child(1))
    echo = {**child(2), "status": {"conditions": []}}
    echo["metadata"]["managedFields"] = [{"manager": "somebody"}]
    edited, counted = child(3), {**child(4), "status": {"availableReplicas": 1}}
    edited["metadata"]["annotations"] = counted["metadata"]["annotations"] = {"team": "x"}
    for body, woken in ((echo, []), (edited, [(KEY, Lane.EDIT)]), (counted, [(KEY, Lane.EDIT)])):
        delta = store.put(body)
        assert delta is not None
        given.triggers.child(delta)
        assert given.woken() == woken


def test_callers_wake_when_somebody_else_is_let_in_and_for_nothing_else(given: Given) -> None:
    given.knows_the_service()
    given.caches.refer(KEY, {("ProductionService", "pricing")})

    def pricing(version: int, *callers: str) -> dict[str, Any]:
        body = parent(version, generation=version, name="pricing", uid="p")
        return {**body, "spec": {"network": {"allowFrom": [{"service": name} for name in callers]}}}

    events: list[tuple[str, dict[str, Any], bool]] = [
        ("ADDED", pricing(10), True),
        ("MODIFIED", pricing(11), False),
        ("MODIFIED", pricing(12, "catalog"), True),
        ("MODIFIED", {**pricing(13, "catalog"), "status": {}}, False),
        ("DELETED", pricing(14, "catalog"), True),
    ]
    for kind, body, wakes in events:
        given.triggers.parent_event(kind, body)
        assert (KEY in {key for key, _ in given.woken()}) is wakes, (kind, body)
