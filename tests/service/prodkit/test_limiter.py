"""The limiter on a clock of our own: a loop that has so much work takes so long for a turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prodkit.limiter import MAXIMUM, SHARES, GradientController, LagController, Limiter, Priority


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
