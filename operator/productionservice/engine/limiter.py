"""How fast the operator writes: as fast as the API server takes it, and no faster once it has said so.

A token bucket whose rate follows the server's answers: halved when it is busy (HTTP 429), raised by a little each
second that it is not (additive increase, multiplicative decrease, as TCP does it). Somebody's edit may use what the
routine has to leave.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

URGENT: ContextVar[bool] = ContextVar("urgent", default=False)
"""True in a pass that somebody waits for."""

MOST, LEAST = 1000.0, 5.0
"""Writes a second. A single API server takes some hundreds: the upper bound only ends what would be a fault."""
RAISE = 20.0
"""Writes a second more, for each second without a 429."""
RESERVED = 10.0
"""Tokens that routine work leaves for edits."""
HALVE_SECONDS = 1.0
"""A burst of refusals counts once: they answer writes that were sent at the same time."""
LONGEST_HOLD = 30.0
"""Seconds; a server that asks for more is asked again then."""


class WriteLimiter:
    """`wait` before each write, and `busy` with what the server said."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self.rate = MOST
        """Writes a second at the moment."""
        self._tokens = MOST
        self._at = clock()
        self._halved = self._held_until = float("-inf")

    async def wait(self, *, urgent: bool) -> float:
        """Take a token, and wait until it is due. Returns the seconds waited."""
        self._refill()
        self._tokens -= 1.0
        short = (0.0 if urgent else RESERVED) - self._tokens
        delay = max(short / self.rate, self._held_until - self._clock(), 0.0)
        if delay > 0.0:
            await self._sleep(delay)
        return delay

    def busy(self, retry_after: float | None) -> None:
        """The server has answered 429: slow down, and write nothing for as long as it asks."""
        self._refill()
        now = self._clock()
        if now - self._halved >= HALVE_SECONDS:
            self._halved = now
            self.rate = max(LEAST, self.rate / 2)
            self._tokens = min(self._tokens, self.rate)
        if retry_after:
            self._held_until = max(self._held_until, now + min(retry_after, LONGEST_HOLD))

    def _refill(self) -> None:
        """A second's worth of tokens at most is saved up."""
        now = self._clock()
        passed, self._at = now - self._at, now
        quiet = min(passed, max(now - self._halved - HALVE_SECONDS, 0.0))
        self.rate = min(MOST, self.rate + RAISE * quiet)
        self._tokens = min(self.rate, self._tokens + passed * self.rate)
