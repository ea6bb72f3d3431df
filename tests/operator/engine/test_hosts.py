"""Who has a host that several services claim, and who is woken when that changes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from productionservice.engine.caches import Caches
from productionservice.engine.queue import AsyncQueue, Key, WorkQueue
from productionservice.engine.triggers import Triggers

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
VERSIONS = itertools.count(1)


def service(key: str, *hosts: str, created: str = OLD, uid: str = "", **metadata: Any) -> dict[str, Any]:
    namespace, _, name = key.partition("/")
    given = {
        "name": name,
        "namespace": namespace,
        "uid": uid or key,
        "resourceVersion": str(next(VERSIONS)),
        "creationTimestamp": created,
    }
    return {
        "metadata": {**given, **metadata},
        "spec": {"expose": {"hosts": [*hosts]}} if hosts else {},
    }


class World:
    def __init__(self) -> None:
        self.caches, self.core = Caches(), WorkQueue(lambda: 0.0)
        self.triggers = Triggers(self.caches, AsyncQueue(self.core))
        self.triggers.warm = True

    def event(self, body: dict[str, Any], kind: str = "MODIFIED") -> set[str]:
        """Who is woken by it, beside the service itself."""
        self.triggers.parent_event(kind, body)
        found = set()
        while (work := self.core.pop()) is not None:
            found.add("/".join(work.key))
            self.core.done(work.key)
        return found - {f"{body['metadata']['namespace']}/{body['metadata']['name']}"}

    def taken(self, key: str) -> dict[str, str]:
        return self.caches.taken(_key(key))


def _key(text: str) -> Key:
    namespace, _, name = text.partition("/")
    return namespace, name


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("order", list(itertools.permutations(["b/x", "a/y", "a/z"])))
def test_the_oldest_has_it_then_the_first_by_name_whoever_was_seen_first(
    world: World, order: tuple[str, ...]
) -> None:
    created = {"b/x": OLD, "a/y": NEW, "a/z": NEW}
    for key in order:
        world.event(service(key, "h.example", created=created[key]))

    assert world.taken("b/x") == {}
    assert world.taken("a/y") == world.taken("a/z") == {"h.example": "b/x"}
    world.event(service("b/x", created=OLD))
    assert (world.taken("a/y"), world.taken("a/z")) == ({}, {"h.example": "a/y"})


def test_who_else_claims_a_host_is_woken_when_somebody_begins_or_ceases_to(world: World) -> None:
    assert world.event(service("b/x", "h.example", "other.example", created=NEW)) == set()
    assert world.event(service("a/y", "h.example")) == {"b/x"}
    assert world.event(service("a/y", "h.example")) == set(), "its status or another field"
    assert world.event(service("a/y")) == {"b/x"}
    assert world.event(service("a/y", "h.example")) == {"b/x"}
    assert world.event(service("a/y", "h.example"), "DELETED") == {"b/x"}
    assert world.taken("b/x") == {}


def test_a_service_of_the_same_name_that_is_younger_has_no_claim_of_the_old_one(world: World) -> None:
    world.event(service("a/y", "h.example", created=OLD))
    world.event(service("b/x", "h.example", created="2026-01-15T00:00:00Z"))
    assert world.event(service("a/y", "h.example", created=NEW, uid="another")) == {"b/x"}

    assert (world.taken("b/x"), world.taken("a/y")) == ({}, {"h.example": "b/x"})


def test_one_that_is_leaving_has_it_until_it_is_gone(world: World) -> None:
    world.event(service("a/y", "h.example"))
    world.event(service("b/x", "h.example"))
    world.event(service("a/y", "h.example", deletionTimestamp=NEW))

    assert world.taken("b/x") == {"h.example": "a/y"}


def test_who_has_a_host_is_part_of_what_a_pass_looks_at(world: World) -> None:
    world.event(service("b/x", "h.example", created=NEW))
    before = world.caches.snapshot(("b", "x"), "b/x")
    world.event(service("a/y", "h.example"))

    assert world.caches.snapshot(("b", "x"), "b/x") != before
