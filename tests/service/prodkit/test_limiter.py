"""The limiter on a clock of our own: a loop that has so much work takes so long for a turn."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodkit.limiter import (
    MAXIMUM,
    SHARES,
    WINDOW_SECONDS,
    GradientController,
    LagController,
    Limiter,
    Priority,
    own_lag,
)


def overloaded(limiter: Limiter, windows: int, *, cost: float = 0.004) -> None:
    """More comes than fits: each window the limiter is filled, and the loop is late by what it admitted."""
    for _ in range(windows):
        admitted = 0
        while limiter.admit(Priority.NORMAL):
            admitted += 1
        limiter.sample_lag(admitted * cost)
        for _ in range(admitted):
            limiter.release()
        limiter.end_window()


def calm(limiter: Limiter, windows: int, *, in_flight: int = 2) -> None:
    for _ in range(windows):
        for _ in range(in_flight):
            assert limiter.admit(Priority.NORMAL)
        for _ in range(in_flight):
            limiter.release()
        limiter.sample_lag(0.0)
        limiter.end_window()


def test_a_burst_is_no_overload() -> None:
    limiter = Limiter()
    assert all(limiter.admit(Priority.NORMAL) for _ in range(300))


def test_a_loop_that_is_late_admits_fewer_at_once() -> None:
    limiter = Limiter()
    overloaded(limiter, 10)
    assert 1 <= limiter.limit <= 8
    overloaded(limiter, 100)
    assert 2 <= limiter.limit <= 12  # around what makes the loop as late as its target


def test_recovers_within_two_seconds_of_calm() -> None:
    limiter = Limiter()
    overloaded(limiter, 50)
    calm(limiter, 40)
    assert limiter.limit == MAXIMUM


@dataclass
class Served:
    """What came of the requests of a simulation, and how long the slowest turn of its last second took."""

    served: int = 0
    refused: int = 0
    slowest: float = 0.0


def serve(
    limiter: Limiter,
    *,
    load: float,
    seconds: float,
    share: float = 1.0,
    turn_slice: float = 0.012,
    cost: float = 0.004,
    pause: float = 0.0,
) -> Served:
    """An event loop that has `share` of a processor, in slices, while `load` of a processor is asked for.

    A turn works off what has come since the last one, and ends with a sample. Others have the processor for `pause`
    seconds at the very start.
    """
    result = Served()
    now, due, arrived, granted = 0.0, 0.0, 0.0, turn_slice
    used = waited = 0.0
    while now < seconds:
        if pause:
            now, waited, pause = now + pause, waited + pause, 0.0
        now = max(now, min(due, arrived))
        admitted = 0
        while arrived <= now:
            arrived += cost / load
            if limiter.admit(Priority.NORMAL):
                admitted += 1
            else:
                result.refused += 1
        work = admitted * cost
        used += work
        while work > 0:
            ran = min(work, granted)
            work, granted, now = work - ran, granted - ran, now + ran
            if granted <= 0:
                away = turn_slice / share - turn_slice
                waited, now, granted = waited + away, now + away, turn_slice
        result.served += admitted
        if now >= due:
            if now > seconds - 1:
                result.slowest = max(result.slowest, now - due)
            if limiter.sample_lag(now - due, used=used, starved=waited, worked=used):
                limiter.end_window()
            used = waited = 0.0
            due = now + 0.01
        for _ in range(admitted):
            limiter.release()
    return result


@pytest.mark.parametrize(
    ("share", "load", "turn_slice"),
    [(0.5, 0.35, 0.012), (0.2, 0.16, 0.012), (0.3, 0.2, 0.1), (0.5, 0.45, 0.004)],
)
def test_a_loop_that_others_keep_from_the_processor_refuses_nobody(
    share: float, load: float, turn_slice: float
) -> None:
    result = serve(Limiter(), share=share, load=load, turn_slice=turn_slice, seconds=30)
    assert result.served > 0
    assert result.refused == 0


@pytest.mark.parametrize("pause", [0.05, 0.1, 0.3])
def test_what_piled_up_while_others_ran_is_served(pause: float) -> None:
    assert serve(Limiter(), share=0.8, load=0.5, pause=pause, seconds=10).refused == 0


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("factor", [2, 5])
def test_a_starved_and_overloaded_loop_still_answers_in_time(share: float, factor: float) -> None:
    result = serve(Limiter(), share=share, load=share * factor, seconds=15)
    assert result.refused > 0
    assert result.slowest < 0.25  # half of what a usual client waits
    assert result.served * 0.004 > 0.9 * share * (
        15 - 4
    )  # nothing of the processor is left unused, but at first


@given(
    share=st.floats(0.1, 1.0),
    utilisation=st.floats(0.1, 0.7),
    turn_slice=st.floats(0.002, 0.05),
    cost=st.floats(0.0002, 0.004),
)
def test_nobody_is_refused_below_seven_tenths_of_what_is_left(
    share: float, utilisation: float, turn_slice: float, cost: float
) -> None:
    load = share * utilisation
    assert serve(Limiter(), share=share, load=load, turn_slice=turn_slice, cost=cost, seconds=6).refused == 0


def test_two_hundred_connections_that_come_at_once_to_a_cold_process_are_served() -> None:
    limiter = Limiter()
    refused = 0
    for cost in (0.001, 0.0003, 0.0002, 0.00005, 0.00005):  # the first of each kind is dear
        admitted = sum(limiter.admit(Priority.NORMAL) for _ in range(200))
        refused += 200 - admitted
        if limiter.sample_lag(admitted * cost, used=admitted * cost):
            limiter.end_window()
        for _ in range(admitted):
            limiter.release()
    assert refused == 0


def test_long_turns_with_short_ones_between_them_are_no_bursts() -> None:
    limiter = Limiter()
    for _ in range(3):
        admitted = 0
        while admitted < 300 and limiter.admit(Priority.NORMAL):
            admitted += 1
        limiter.sample_lag(admitted * 0.004, used=admitted * 0.004)
        limiter.end_window()
        while not limiter.sample_lag(0.001, used=0.001):
            pass
        limiter.end_window()
        for _ in range(admitted):
            limiter.release()
    assert limiter.limit <= 80


def test_a_turn_that_nobody_waits_for_is_no_burst() -> None:
    limiter = Limiter()
    for _ in range(360):
        limiter.admit(Priority.NORMAL)
    assert limiter.sample_lag(1.44, used=1.44)
    limiter.end_window()
    assert limiter.limit <= 100


def test_waiting_for_the_first_turn_is_watched_after_a_late_window_only() -> None:
    limiter = Limiter()
    assert not limiter.late
    limiter.sample_lag(0.2, used=0.2)
    limiter.end_window()
    assert limiter.late
    assert (limiter.overdue(0.2), limiter.overdue(0.4)) == (False, True)
    limiter.sample_lag(0.0, used=0.0)
    limiter.end_window()
    assert not limiter.late


@pytest.mark.parametrize(
    ("busy", "lag", "grows"),
    [(0.9, 0.007, True), (1.0, 0.003, True), (1.0, 0.007, False)],
    ids=["it idles", "hardly late", "it only gets later"],
)
def test_a_limit_grows_while_more_requests_at_once_keep_the_loop_at_work(
    busy: float, lag: float, grows: bool
) -> None:
    controller = LagController()
    controller.limit = 20.0
    for _ in range(10):
        controller.observe(lag, 20, full=True, busy=busy)
    assert (controller.limit > 20) == grows
    for _ in range(200):
        controller.observe(lag, 20, full=True, busy=busy)
    assert controller.limit == (MAXIMUM if grows else controller.tuning.minimum)


def test_a_loop_at_work_without_trouble_is_not_limited() -> None:
    controller = LagController()
    for _ in range(100):
        controller.observe(0.007, 390, full=True, busy=1.0)
    assert controller.limit == MAXIMUM


def test_only_its_own_work_makes_a_loop_late() -> None:
    assert own_lag(0.2, used=0.01, starved=0.19) == pytest.approx(0.01)
    assert own_lag(0.2, used=0.01, starved=0.3) == 0
    assert own_lag(0.2, used=0.01, starved=0.0) == 0.01  # a handler that blocks: it used little
    assert own_lag(0.2, used=0.21, starved=0.0) == 0.2


def test_a_window_ends_by_the_clock() -> None:
    limiter = Limiter()
    samples = 0
    while not limiter.sample_lag(0.0, used=0.0):
        samples += 1
    assert samples * 0.01 == pytest.approx(WINDOW_SECONDS, abs=0.011)
    limiter.end_window()
    assert limiter.sample_lag(1.0, used=0.01, starved=0.99)  # one late sample is longer than a window
    limiter.end_window()
    assert not limiter.sample_lag(0.0, used=0.0)


def test_requests_that_only_wait_are_not_above_the_limit() -> None:
    limiter = Limiter()
    for _ in range(52):
        limiter.admit(Priority.NORMAL)
    for _ in range(60):
        limiter.sample_lag(0.0)
        limiter.end_window()
    for _ in range(2):  # once is a burst
        limiter.sample_lag(1.0, used=1.0)
        limiter.end_window()
    assert 40 < limiter.limit < MAXIMUM
    for _ in range(52):
        limiter.release()
    overloaded(limiter, 150)  # of other requests: the loop's own lag wins in the end
    assert limiter.lag.waiting < 5


def test_cheap_requests_get_a_high_limit() -> None:
    limiter = Limiter()
    overloaded(limiter, 300, cost=0.0001)
    assert limiter.limit >= 50


def test_classes_are_refused_one_after_the_other() -> None:
    limiter = Limiter()
    limiter.limit = 10.0
    filled = {}
    for priority in (Priority.SHEDDABLE, Priority.NORMAL, Priority.CRITICAL):
        while limiter.admit(priority):
            pass
        filled[priority] = limiter.in_flight
    assert filled == {Priority.SHEDDABLE: 7, Priority.NORMAL: 9, Priority.CRITICAL: 10}


def test_a_slow_dependency_lowers_the_limit_while_the_loop_is_idle() -> None:
    controller = GradientController()
    for seconds, windows in ((0.02, 50), (0.9, 60)):
        for _ in range(windows):
            for _ in range(20):
                controller.record("/orders/{id}", seconds)
            controller.observe(100, full=False, lagging=False)
    assert controller.gradient < 1
    assert controller.limit == controller.tuning.minimum


def test_fast_answers_are_never_congestion() -> None:
    controller = GradientController()
    for seconds in (0.0002, 0.095) * 50:
        for _ in range(20):
            controller.record("/", seconds)
        controller.observe(100, full=True, lagging=False)
    assert controller.limit == MAXIMUM


def test_a_route_that_always_was_slow_says_nothing() -> None:
    controller = GradientController()
    for _ in range(50):
        for _ in range(10):
            controller.record("/fast", 0.06)
            controller.record("/report", 2.0)
        controller.observe(100, full=True, lagging=False)
    assert controller.limit == MAXIMUM


def test_the_baselines_are_bounded() -> None:
    controller = GradientController()
    for number in range(5000):
        controller.record(f"/{number}", 0.01)
        controller.observe(1, full=False, lagging=False)
    assert len(controller.baselines) <= controller.tuning.most_routes


windows = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 500), st.booleans()), max_size=200)


@given(windows)
def test_the_lag_limit_stays_within_its_bounds(history: list[tuple[float, int, bool]]) -> None:
    controller = LagController()
    for lag, peak, full in history:
        controller.observe(lag, peak, full=full)
        assert controller.tuning.minimum <= controller.limit <= MAXIMUM


@given(windows)
def test_the_gradient_limit_stays_within_its_bounds(history: list[tuple[float, int, bool]]) -> None:
    controller = GradientController()
    for seconds, peak, full in history:
        for _ in range(10):
            controller.record("/", seconds)
        controller.observe(peak, full=full, lagging=False)
        assert controller.tuning.minimum <= controller.limit <= MAXIMUM


@given(st.lists(st.sampled_from(["release", "window", *Priority]), max_size=300))
def test_never_more_in_flight_than_the_class_may_fill(steps: list[str]) -> None:
    limiter = Limiter()
    limiter.lag.limit = limiter.limit = 12.0
    for step in steps:
        if step == "release":
            if limiter.in_flight:
                limiter.release()
        elif step == "window":
            limiter.sample_lag(0.02)
            limiter.end_window()
        elif limiter.admit(Priority(step)):
            assert limiter.in_flight < limiter.limit * SHARES[Priority(step)] + 1
