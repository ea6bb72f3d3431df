"""What becomes of a key after its pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from prometheus_client import REGISTRY

from productionservice.engine.queue import AsyncQueue, Key, WorkQueue
from productionservice.engine.worker import Workers
from productionservice.errors import Rejected, Transient, Waiting
from productionservice.metrics import CONTROLLER
from tests.operator.engine.fake_api import eventually

A: Key = ("shop", "a")


class Passes:
    """Passes that end as they are told."""

    def __init__(self) -> None:
        self.outcomes: list[float | Exception | None] = []
        self.started: list[Key] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.finished = 0

    async def __call__(self, key: Key) -> float | None:
        self.started.append(key)
        await self.may_end.wait()
        self.finished += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Shift:
    def __init__(self, count: int = 2) -> None:
        self.core = WorkQueue(lambda: 0.0, jitter=lambda: 1.0)  # time stands still: delays are exact
        self.queue, self.passes, self.gate = AsyncQueue(self.core), Passes(), asyncio.Event()
        self.workers = Workers(self.queue, self.passes, count)
        self.workers.start(self.gate.wait)

    async def after(self, outcome: float | Exception | None) -> float | None:
        """Seconds until `A` is due again after a pass with this outcome."""
        self.passes.outcomes.append(outcome)
        self.gate.set()
        self.queue.add(A)
        await eventually(lambda: self.passes.finished == 1)
        await asyncio.sleep(0)
        return self.core.next_due()


@pytest.fixture
async def shift() -> AsyncIterator[Shift]:
    made = Shift()
    yield made
    await made.workers.drain(0)


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (None, None),
        (30.0, 30),
        (Waiting("for a friend", seconds=12), 12),
        (Transient("busy"), 0.5),
        (Transient("busy", retry_after=9), 9),
        (Rejected("no", status=422), None),
        (RuntimeError("a bug"), 0.5),
    ],
)
async def test_the_outcome_decides_when_to_look_again(
    shift: Shift, outcome: float | Exception | None, seconds: float | None
) -> None:
    due = await shift.after(outcome)

    assert due == seconds


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (None, ("the pass has ended", "debug", "success", None)),
        (30.0, ("the pass has ended", "debug", "requeue_after", 30)),
        (Waiting("for a friend", seconds=12), ("the pass has ended", "debug", "requeue_after", 12)),
        (Transient("busy"), ("the pass failed: it is tried again", "warning", "error", 0.5)),
        (
            Rejected("no", status=422),
            ("the pass cannot succeed until an object is edited", "warning", "error", None),
        ),
        (
            RuntimeError("a bug"),
            ("the pass ended in an unforeseen error: it is tried again", "error", "error", 0.5),
        ),
    ],
)
async def test_the_last_line_of_a_pass_says_how_it_ended(
    shift: Shift, outcome: float | Exception | None, said: tuple[str, str, str, float | None]
) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await shift.after(outcome)
    (line,) = lines

    assert (line["event"], line["log_level"], line["outcome"], line.get("again_in")) == said
    assert (line["namespace"], line["name"]) == A
    assert line["duration"] >= 0
    assert {"reconcile_id", "trigger"} <= line.keys()
    if isinstance(outcome, Transient | Rejected):
        assert line["error"] == str(outcome)


async def test_what_one_pass_says_of_its_service_is_not_said_of_the_next() -> None:
    async def reconcile(key: Key) -> None:
        if key == A:
            structlog.contextvars.bind_contextvars(generation=7)

    queue, gate = AsyncQueue(), asyncio.Event()
    alone = Workers(queue, reconcile, 1)
    alone.start(gate.wait)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        gate.set()
        queue.add(A)
        queue.add(("shop", "b"))
        await eventually(lambda: len(lines) == 2)
        await alone.drain(0)

    assert [line.get("generation") for line in lines] == [7, None]
    assert len({line["reconcile_id"] for line in lines}) == 2


async def test_nothing_runs_before_the_gate_opens(shift: Shift) -> None:
    shift.queue.add(A)
    for _ in range(10):
        await asyncio.sleep(0)
    assert shift.passes.started == []

    shift.gate.set()
    await eventually(lambda: shift.passes.started == [A])


async def test_what_a_standby_has_had_for_hours_is_no_wait_when_it_leads() -> None:
    def waited() -> float:
        labels = {"name": CONTROLLER, "controller": CONTROLLER}
        return REGISTRY.get_sample_value("workqueue_queue_duration_seconds_sum", labels) or 0.0

    now, before, passes, gate = [0.0], waited(), Passes(), asyncio.Event()
    queue = AsyncQueue(WorkQueue(lambda: now[0]))
    workers = Workers(queue, passes, 1)
    workers.start(gate.wait)
    queue.add(A)
    now[0] = 7200
    gate.set()
    await eventually(lambda: passes.finished == 1)
    await workers.drain(0)

    assert waited() == before


async def test_a_key_is_never_in_two_passes_at_once(shift: Shift) -> None:
    shift.passes.may_end.clear()
    shift.gate.set()
    shift.queue.add(A)
    await eventually(lambda: shift.passes.started == [A])
    shift.queue.add(A)
    for _ in range(10):
        await asyncio.sleep(0)
    assert shift.passes.started == [A]

    shift.passes.may_end.set()
    await eventually(lambda: shift.passes.started == [A, A])


async def test_drain_lets_a_running_pass_finish_and_begins_no_other(shift: Shift) -> None:
    shift.passes.may_end.clear()
    shift.gate.set()
    shift.queue.add(A)
    await eventually(lambda: shift.passes.started == [A])
    draining = asyncio.create_task(shift.workers.drain(10))
    await asyncio.sleep(0)
    shift.queue.add(("shop", "b"))
    shift.passes.may_end.set()
    await draining

    assert (shift.passes.finished, shift.passes.started) == (1, [A])


async def test_drain_does_not_wait_for_workers_that_wait(shift: Shift) -> None:
    await asyncio.wait_for(shift.workers.drain(60), 5)

    assert all(task.done() for task in shift.workers.tasks)


async def test_drain_ends_a_pass_that_takes_too_long(shift: Shift) -> None:
    shift.passes.may_end.clear()
    shift.gate.set()
    shift.queue.add(A)
    await eventually(lambda: shift.passes.started == [A])
    await asyncio.wait_for(shift.workers.drain(0.01), 5)

    assert shift.passes.finished == 0
    assert all(task.done() for task in shift.workers.tasks)


async def test_thousands_of_passes_that_wait_for_nothing_let_others_run_in_between(shift: Shift) -> None:
    for number in range(1000):
        shift.queue.add(("shop", f"s{number}"))
    shift.gate.set()
    turns = 0
    while shift.passes.finished < 1000:
        turns += 1
        await asyncio.sleep(0)

    assert turns > 100
