"""When a verdict changes, on a clock that the test moves."""

from __future__ import annotations

from prodkit.hysteresis import Hysteresis, Thresholds


def feed(verdict: Hysteresis, results: str, *, start: float = 0.0, step: float = 2.0) -> list[bool]:
    """One result per character (`+` works, `-` does not), `step` seconds apart; the verdicts after each."""
    return [verdict.observe(ok=sign == "+", now=start + number * step) for number, sign in enumerate(results)]


def test_the_first_result_decides() -> None:
    assert feed(Hysteresis(), "+") == [True]
    assert feed(Hysteresis(), "-") == [False]


def test_down_after_three_failures_in_a_row() -> None:
    assert feed(Hysteresis(), "+--+---") == [True] * 6 + [False]


def test_down_after_six_failures_of_ten() -> None:
    assert feed(Hysteresis(), "+--+--+--+-") == [True] * 10 + [False]


def test_up_after_five_successes_in_a_row_and_fifteen_seconds() -> None:
    verdict = Hysteresis()
    feed(verdict, "+---")  # down at 6 s
    assert feed(verdict, "+++++", start=8.0) == [False] * 5  # 16 s: long enough a row, not long enough down
    assert feed(verdict, "++++", start=18.0) == [False, False, True, True]  # 22 s is the first behind 21


def test_a_failure_starts_the_row_again() -> None:
    verdict = Hysteresis()
    feed(verdict, "+---")
    assert feed(verdict, "++++-++++", start=100.0) == [False] * 9
    assert feed(verdict, "+", start=118.0) == [True]


def test_each_flip_doubles_the_hold_up_to_a_limit() -> None:
    verdict = Hysteresis(Thresholds(up_after=1))
    now, holds = 0.0, []
    verdict.observe(ok=True, now=now)
    for _ in range(6):
        for _ in range(3):
            now += 1
            verdict.observe(ok=False, now=now)
        down = now
        while not verdict.up:
            now += 1
            verdict.observe(ok=True, now=now)
        holds.append(now - down)
    assert holds == [15, 30, 60, 120, 120, 120]


def test_old_flips_are_forgotten() -> None:
    verdict = Hysteresis(Thresholds(up_after=1))
    feed(verdict, "+---", step=1)
    feed(verdict, "+", start=100)
    feed(verdict, "---", start=2000, step=1)
    assert feed(verdict, "++", start=2002 + 14.5, step=1) == [False, True]


def test_flapping_every_second_changes_the_verdict_at_most_once_in_a_minute() -> None:
    verdict = Hysteresis()
    feed(verdict, "+-" * 30, step=1)
    assert verdict.flips <= 1
