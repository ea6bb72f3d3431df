"""The limiter follows the API server, and lets edits through before the routine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productionservice.engine.limiter import LEAST, LONGEST_HOLD, MOST, RESERVED, WriteLimiter


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def limiter(self) -> WriteLimiter:
        return WriteLimiter(lambda: self.now, self.sleep)


async def test_a_healthy_server_is_written_to_without_a_wait() -> None:
    time = Time()
    limiter = time.limiter()
    for _ in range(900):
        assert await limiter.wait(urgent=False) == 0.0


async def test_a_busy_server_halves_the_rate_once_a_burst_and_gets_it_back_slowly() -> None:
    time = Time()
    limiter = time.limiter()
    for _ in range(20):
        limiter.busy(None)
    assert limiter.rate == MOST / 2

    time.now += 11.0
    await limiter.wait(urgent=False)
    assert limiter.rate == pytest.approx(MOST / 2 + 200)


async def test_nothing_is_written_sooner_than_the_server_asks() -> None:
    time = Time()
    limiter = time.limiter()
    limiter.busy(7.0)
    assert await limiter.wait(urgent=True) == 7.0
    limiter.busy(1000.0)
    assert await limiter.wait(urgent=True) == LONGEST_HOLD


async def test_an_edit_uses_what_the_routine_leaves() -> None:
    time = Time()
    limiter = time.limiter()
    while await limiter.wait(urgent=False) == 0.0:
        pass
    time.now = 0.0
    assert [await limiter.wait(urgent=True) for _ in range(int(RESERVED) - 2)] == [0.0] * (int(RESERVED) - 2)


@given(st.lists(st.one_of(st.floats(0, 5), st.none()), max_size=60))
async def test_the_rate_stays_in_its_bounds(steps: list[float | None]) -> None:
    time = Time()
    limiter = time.limiter()
    for step in steps:
        if step is None:
            limiter.busy(None)
        else:
            time.now += step
            await limiter.wait(urgent=False)
        assert LEAST <= limiter.rate <= MOST
