"""What our own writes leave in the caches, whoever is faster: the answer or the informer."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from productionservice.engine.answers import NotFound
from productionservice.engine.caches import Caches
from productionservice.errors import Rejected
from productionservice.live import applied_digest
from productionservice.plan import Ref
from tests.support.builders import children, make_service

REF = Ref("Service", "catalog")


def stored(version: int = 5) -> dict[str, Any]:
    body = copy.deepcopy(children(make_service())["Service"])
    body["metadata"].update(uid="u", resourceVersion=str(version))
    return body


@pytest.mark.parametrize("informer_first", [False, True])
def test_an_answer_that_contains_what_was_written_is_known_to(informer_first: bool) -> None:
    caches, body = Caches(), stored()
    if informer_first:
        caches.children["Service"].put(copy.deepcopy(body))
    live = caches.take(REF, body, verified=applied_digest(body))

    assert (live.packed, live.verified) == (None, live.digest)
    assert caches.children["Service"].get(("shop", "catalog")) == live


def test_an_answer_that_is_older_than_what_is_known_says_nothing_about_it() -> None:
    caches, newer = Caches(), stored(9)
    newer["spec"]["type"] = "NodePort"
    caches.children["Service"].put(newer)
    live = caches.take(REF, stored(5), verified=applied_digest(newer))

    assert live.verified is None
    assert live.differences(children(make_service())["Service"]) != []


def test_why_a_kind_is_not_served_is_part_of_what_a_pass_looks_at() -> None:
    caches, key = Caches(), ("shop", "catalog")
    seen = [caches.snapshot(key, "u")]
    for error in (NotFound("no such kind"), Rejected("forbidden", status=403), None):
        caches.serve("ServiceMonitor", None, error)
        seen.append(caches.snapshot(key, "u"))

    assert len(set(seen)) == 3
    assert seen[0] == seen[-1]


def test_nothing_is_kept_of_references_that_are_gone() -> None:
    caches = Caches()
    for turn in range(3):
        caches.refer(("shop", f"service-{turn}"), [("Secret", f"secret-{turn}"), ("ConfigMap", "shared")])
    assert caches.referring("ConfigMap", ("shop", "shared")) == [("shop", f"service-{t}") for t in range(3)]
    for turn in range(3):
        caches.refer(("shop", f"service-{turn}"), ())

    assert vars(caches)["_referring"] == vars(caches)["_sources"] == {}
