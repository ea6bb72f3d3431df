"""The check of the stream of services: what it misses is fetched, and how long it has been dead is known."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from productionservice.engine import stream as stream_module
from productionservice.engine.parent import Parent
from productionservice.engine.store import Store
from productionservice.engine.stream import LATE_SECONDS, Names, StreamCheck
from productionservice.errors import Transient
from tests.operator.engine.fake_api import eventually


def body(name: str = "a", version: int = 1, uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version)}}


@dataclass
class Setup:
    """A stream that delivers only what a test puts into `parents`."""

    now: float = 1000.0
    parents: Store[Parent] = field(default_factory=lambda: Store(Parent.of))
    lists: int = 0
    fails: bool = False
    tries: int = 0
    names: Names = field(init=False)
    check: StreamCheck = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.parents)
        self.check = StreamCheck(self.parents, self.relist, lambda: self.now)

    async def relist(self) -> None:
        self.tries += 1
        if self.fails:
            raise Transient("the API server is away")
        self.lists += 1

    def told(self, *bodies: dict[str, Any]) -> None:
        """What the names' watch says."""
        for each in bodies:
            delta = self.names.put(each)
            assert delta is not None
            self.check.changed(delta)

    def gone(self, each: dict[str, Any]) -> None:
        delta = self.names.remove(each)
        assert delta is not None
        self.check.changed(delta)

    def late(self) -> list[str]:
        self.now += LATE_SECONDS + 1
        return [name for _, name in self.check.late()]


def test_what_the_stream_delivers_is_never_late() -> None:
    given = Setup()
    given.told(body("a", 1), body("b", 2))
    given.parents.put(body("a", 1))
    given.parents.put(body("b", 3))  # even newer

    assert given.late() == []


def test_a_change_that_is_not_delivered_is_late_after_a_while_and_not_before() -> None:
    given = Setup()
    given.parents.put(body("a", 1))
    given.told(body("a", 2))

    assert given.check.late() == []
    assert given.late() == ["a"]
    given.parents.put(body("a", 2))
    assert given.late() == []


def test_a_deletion_counts_until_it_is_known_or_another_one_took_the_name() -> None:
    given = Setup()
    for name in ("a", "b", "c"):
        given.told(body(name, 1))
        given.parents.put(body(name, 1))
        given.gone(body(name, 5))
    given.parents.remove(body("a", 5))
    given.parents.put(body("b", 6, uid="another"))

    assert given.late() == ["c"]


def test_a_memory_that_went_back_makes_everything_news() -> None:
    given = Setup()
    given.told(body("a", 90))
    given.parents.put(body("a", 90))
    given.names.rewind()

    assert given.parents.version(("shop", "a")) == 0
    assert given.names.version(("shop", "a")) == 0


def test_one_service_that_is_older_than_it_was_says_that_a_backup_was_restored() -> None:
    given = Setup()
    for name in ("a", "b"):
        given.told(body(name, 90))
        given.parents.put(body(name, 90))
    delta = given.names.put(body("a", 40), listed_at="99")
    assert delta is not None
    given.check.changed(delta)

    assert given.parents.version(("shop", "b")) == 0, "the others may be older as well"
    assert "a" in given.late()


async def test_what_was_missed_is_listed_and_the_stream_is_dead_until_it_says_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(stream_module, "backoff", lambda _failures: 0.001)
    given = Setup(fails=True)
    given.told(body("a", 1))
    given.now += LATE_SECONDS + 1
    task = asyncio.create_task(given.check.run())
    await eventually(lambda: given.tries > 0)
    assert given.late() == ["a"], "it is not forgotten"
    given.fails = False
    await eventually(lambda: given.lists == 1)
    given.now += 7

    assert given.check.dead_for > 7
    assert given.late() == [], "the list knew everything"
    given.check.heard()
    assert given.check.dead_for == 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
