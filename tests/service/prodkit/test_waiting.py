"""Requests that wait for what another one does: they hold no place meanwhile, and get it back once."""

from __future__ import annotations

import asyncio

from prodkit.cache.engine import StaleCache
from prodkit.cache.policy import Policy
from prodkit.limiter import (
    Limiter,
    Priority,
    Slot,
    waiting,
)


async def test_callers_of_one_cold_key_hold_one_place() -> None:
    limiter = Limiter()
    limiter.limit = 6.0
    cache = StaleCache[int]("prices", Policy())
    loaded = asyncio.Event()
    most_waiting = 0

    async def load() -> int:
        await loaded.wait()
        return 7

    async def handle() -> int:
        slot = Slot(limiter)
        slot.occupy()
        try:
            return await cache.get("key", load)
        finally:
            slot.release()

    tasks = []
    for _ in range(100):
        assert limiter.admit(Priority.NORMAL)
        tasks.append(asyncio.create_task(handle()))
        await asyncio.sleep(0)  # it finds the load under way
    most_waiting = limiter.waiting
    assert limiter.in_flight == 1
    loaded.set()
    assert await asyncio.gather(*tasks) == [7] * 100
    assert most_waiting == 99
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_a_place_is_given_back_once_however_the_waiting_ends() -> None:
    limiter = Limiter()
    never = asyncio.Event()

    async def wait() -> None:
        with waiting():
            await never.wait()

    async def handle(*, cancelled: bool) -> None:
        slot = Slot(limiter)
        slot.occupy()
        try:
            left = [asyncio.create_task(wait()) for _ in range(2)]  # both of them, and a place only once
            await asyncio.sleep(0)
            assert (limiter.in_flight, limiter.waiting) == (0, 1)
            if cancelled:
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                assert (limiter.in_flight, limiter.waiting) == (1, 0)
        finally:
            slot.release()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        never.set()
        await asyncio.gather(*left, return_exceptions=True)
        never.clear()

    for cancelled in (True, False):
        assert limiter.admit(Priority.NORMAL)
        await asyncio.create_task(handle(cancelled=cancelled))
        assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_waiting_outside_of_a_request_is_nothing_special() -> None:
    with waiting():
        await asyncio.sleep(0)
