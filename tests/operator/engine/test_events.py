"""Events: what is told, how often, and that telling never fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from productionservice.engine.answers import NotFound
from productionservice.engine.client import Resource
from productionservice.engine.events import BURST, Note, Recorder, notes
from productionservice.errors import Rejected, Transient
from productionservice.plan import Action, Applied, Change, Ref, Result
from tests.operator.engine.fake_api import eventually

BODY: dict[str, Any] = {
    "apiVersion": "productionservice.io/v1alpha1",
    "kind": "ProductionService",
    "metadata": {"name": "catalog", "namespace": "shop", "uid": "u"},
}


class Board:
    """Where events are posted."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.merged: list[dict[str, Any]] = []
        self.fails: list[Exception] = []

    async def post(self, _resource: Resource, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.fails:
            raise self.fails.pop()
        self.posted.append(body)
        return body

    async def merge(
        self, _resource: Resource, _namespace: str, _name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        if self.fails:
            raise self.fails.pop()
        self.merged.append(patch)
        return patch


class Told:
    def __init__(self) -> None:
        self.board, self.now = Board(), 0.0
        self.recorder = Recorder(self.board, "replica", clock=lambda: self.now)
        self.task = asyncio.create_task(self.recorder.run())


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    made = Told()
    yield made
    made.task.cancel()


def note(message: str = "it happened") -> Note:
    (made,) = ready_notes({}, condition("True", "Ready", message))
    return made


def condition(status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]}


def ready_notes(before: dict[str, Any], after: dict[str, Any]) -> list[Note]:
    return notes(BODY, Applied(()), before, after)


def test_only_a_change_of_ready_is_told() -> None:
    starting, ready = condition("Unknown", "Starting", "1 of 3"), condition("True", "Ready")

    assert ready_notes(starting, condition("Unknown", "Starting", "2 of 3")) == []
    assert [n.reason for n in ready_notes(starting, ready)] == ["Ready"]
    (crash,) = ready_notes(ready, condition("False", "CrashLoop", "pod x exits"))
    assert (crash.warning, crash.reason, crash.message) == (True, "CrashLoop", "Ready is False: pod x exits")


def test_a_pass_tells_each_kind_of_change_once_and_nothing_of_what_stayed() -> None:
    def result(action: Action, kind: str, error: Rejected | None = None) -> Result:
        return Result(Change(action, Ref(kind, "catalog"), {}, cause="absent"), None, error)

    applied = Applied((
        result(Action.CREATED, "Service"),
        result(Action.CREATED, "Deployment"),
        result(Action.UNCHANGED, "ServiceAccount"),
        result(Action.CREATED, "NetworkPolicy", Rejected("no", status=403)),
        result(Action.DELETED, "HorizontalPodAutoscaler"),
    ))  # fmt: skip

    assert [(n.reason, n.message) for n in notes(BODY, applied, {}, {})] == [
        ("Created", "created: Service catalog (absent); Deployment catalog (absent)"),
        ("Deleted", "deleted: HorizontalPodAutoscaler catalog (absent)"),
    ]


async def test_the_same_again_is_counted(told: Told) -> None:
    for _ in range(3):
        told.recorder.tell(note())

    await eventually(lambda: len(told.board.merged) == 2)
    assert len(told.board.posted) == 1
    assert [patch["count"] for patch in told.board.merged] == [2, 3]
    assert told.board.posted[0]["involvedObject"] == {
        "apiVersion": BODY["apiVersion"], "kind": BODY["kind"], **BODY["metadata"],
    }  # fmt: skip


async def test_an_event_that_the_server_has_forgotten_is_begun_anew(told: Told) -> None:
    told.recorder.tell(note())
    await eventually(lambda: len(told.board.posted) == 1)
    told.board.fails.append(NotFound("gone"))
    told.recorder.tell(note())

    await eventually(lambda: len(told.board.posted) == 2)
    assert told.board.posted[1]["count"] == 1


async def test_a_flapping_object_is_limited_and_gets_its_voice_back(told: Told) -> None:
    for number in range(BURST + 10):
        told.recorder.tell(note(str(number)))
    await eventually(lambda: len(told.board.posted) == BURST)

    told.now += 301
    told.recorder.tell(note("later"))
    told.recorder.tell(note("too soon"))
    await eventually(lambda: len(told.board.posted) == BURST + 1)
    assert told.board.posted[-1]["message"] == "Ready is True: later"


async def test_a_server_that_refuses_events_does_no_harm(told: Told) -> None:
    told.board.fails += [Transient("down"), Rejected("no", status=403)]
    for message in "abc":
        told.recorder.tell(note(message))

    await eventually(lambda: len(told.board.posted) == 1)
    assert not told.task.done()


async def test_a_line_about_an_event_is_a_line_of_the_pass_that_told_it(told: Told) -> None:
    told.board.fails.append(Rejected("no", status=403))
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        with structlog.contextvars.bound_contextvars(reconcile_id="abc"):
            told.recorder.tell(note())
        await eventually(lambda: len(lines) == 1)

    assert (lines[0]["reconcile_id"], lines[0]["reason"]) == ("abc", "Ready")


def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    assert len(note("x" * 5000).message) == 1024
