"""What becomes of a key after its pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from productionservice.engine.queue import AsyncQueue, Key, WorkQueue
from productionservice.engine.worker import Workers
from productionservice.errors import Rejected, Transient, Waiting
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
        self.core = WorkQueue(jitter=lambda: 1.0)
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

    assert due == (None if seconds is None else pytest.approx(seconds, abs=0.3))


async def test_nothing_runs_before_the_gate_opens(shift: Shift) -> None:
    shift.queue.add(A)
    for _ in range(10):
        await asyncio.sleep(0)
    assert shift.passes.started == []

    shift.gate.set()
    await eventually(lambda: shift.passes.started == [A])


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
