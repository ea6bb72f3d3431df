"""When a breaker opens, what it lets through, how it closes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from prodkit.breaker import Breaker, BreakerOpenError, BreakerPolicy, BreakerState


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(**policy: float) -> tuple[Breaker, Clock]:
    clock = Clock()
    settings = BreakerPolicy(**{"in_a_row": 3, "jitter": 0.0, **policy})  # type: ignore[arg-type]  # numbers all
    return Breaker("pricing", settings, clock=clock, chance=lambda: 0.5), clock


def state(breaker: Breaker) -> BreakerState:
    return breaker.state  # a call, so that mypy does not take it for a constant


def call(breaker: Breaker, *, ok: bool) -> None:
    with contextlib.suppress(LookupError), breaker.call():
        if not ok:
            raise LookupError


def test_failures_in_a_row_open_it_and_a_success_between_does_not_count_them_together() -> None:
    breaker, _ = make()
    for ok in (False, False, True, False, False):
        call(breaker, ok=ok)
    assert state(breaker) is BreakerState.CLOSED
    call(breaker, ok=False)
    assert state(breaker) is BreakerState.OPEN
    with pytest.raises(BreakerOpenError, match=r"pricing does not answer; the next attempt is in 1\.0 s"):
        call(breaker, ok=True)


def test_half_of_enough_calls_open_it() -> None:
    breaker, _ = make(in_a_row=100)
    for number in range(20):
        assert state(breaker) is BreakerState.CLOSED
        call(breaker, ok=number % 2 == 0)
    assert state(breaker) is BreakerState.OPEN


def test_old_calls_do_not_count() -> None:
    breaker, clock = make(in_a_row=100)
    for number in range(40):
        call(breaker, ok=number % 2 == 0)
        clock.now += 1
    assert state(breaker) is BreakerState.CLOSED


def test_one_call_at_a_time_finds_out_whether_it_is_back() -> None:
    breaker, clock = make()
    for _ in range(3):
        call(breaker, ok=False)
    clock.now += 1
    assert state(breaker) is BreakerState.HALF_OPEN
    with breaker.call(), pytest.raises(BreakerOpenError):
        call(breaker, ok=True)
    assert state(breaker) is BreakerState.CLOSED


def test_pauses_double_up_to_their_bound() -> None:
    breaker, clock = make(max_open_seconds=5)
    for _ in range(3):
        call(breaker, ok=False)
    pauses = []
    for _ in range(5):
        opened = clock.now
        while state(breaker) is BreakerState.OPEN:
            clock.now += 0.25
        pauses.append(clock.now - opened)
        call(breaker, ok=False)
    assert pauses == [1, 2, 4, 5, 5]


def test_errors_that_are_the_callers_do_not_open_it() -> None:
    breaker, _ = make()
    for _ in range(10):
        with pytest.raises(LookupError), breaker.call(lambda error: not isinstance(error, LookupError)):
            raise LookupError
    assert state(breaker) is BreakerState.CLOSED


def test_a_cancelled_attempt_says_nothing_and_leaves_room_for_the_next() -> None:
    breaker, clock = make()
    for _ in range(3):
        call(breaker, ok=False)
    clock.now += 1
    with pytest.raises(asyncio.CancelledError), breaker.call():
        raise asyncio.CancelledError
    assert state(breaker) is BreakerState.HALF_OPEN


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_it_never_stays_open_for_ever(events: list[tuple[bool, float]]) -> None:
    breaker, clock = make()
    for ok, pause in events:
        clock.now += pause
        with contextlib.suppress(BreakerOpenError):
            call(breaker, ok=ok)
    clock.now += 30
    call(breaker, ok=True)
    assert state(breaker) is BreakerState.CLOSED


def test_its_state_is_a_metric() -> None:
    breaker, _ = make()
    registry = CollectorRegistry()
    breaker.register(registry)
    for _ in range(3):
        call(breaker, ok=False)
    assert registry.get_sample_value("breaker_state", {"dependency": "pricing"}) == 2
