"""A circuit breaker: calls to a dependency that does not answer fail at once instead of waiting for it.

    breaker = Breaker("pricing")
    with breaker.call():            # BreakerOpenError while it is open
        await ask_pricing()

It opens after failures in a row or when a good part of the latest calls failed, and lets one call through
after a while. That call decides. Pure: time and chance are arguments.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from prometheus_client import CollectorRegistry, Gauge


class BreakerState(IntEnum):
    """Value of the gauge `breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class BreakerOpenError(Exception):
    """The dependency was not asked: it did not answer lately."""

    def __init__(self, name: str, retry_seconds: float) -> None:
        super().__init__(f"{name} does not answer; the next attempt is in {retry_seconds:.1f} s")
        self.name = name
        self.retry_seconds = retry_seconds
        """When it makes sense to ask again."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open and for how long. Defaults as in Hystrix and resilience4j, the time as in Envoy."""

    in_a_row: int = 5
    """Failures in a row that open it."""
    ratio: float = 0.5
    """Part of failed calls that opens it, once there were `calls` within `window_seconds`."""
    calls: int = 20
    window_seconds: float = 10.0
    open_seconds: float = 1.0
    """First pause; doubled each time the call after it fails."""
    max_open_seconds: float = 30.0
    jitter: float = 0.2
    """Pauses differ by this part up and down, so that replicas do not come back in step."""


class Breaker:
    """The state of one dependency in this process."""

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.policy = policy or BreakerPolicy()
        self._clock = clock
        self._chance = chance
        self._calls: deque[tuple[float, bool]] = deque()
        self._streak = 0
        self._opened = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """What would happen to a call now."""
        if self._open_until is None:
            return BreakerState.CLOSED
        waiting = self._probing or self._clock() < self._open_until
        return BreakerState.OPEN if waiting else BreakerState.HALF_OPEN

    def register(self, registry: CollectorRegistry) -> None:
        """Add `breaker_state{dependency}` to a registry: 0 closed, 1 half-open, 2 open."""
        watch_breakers(registry, [self])

    @contextmanager
    def call(self, counts: Callable[[Exception], bool] = lambda _: True) -> Iterator[None]:
        """Around one call. `counts` says whether an error speaks against the dependency; others speak for it.

        A call that is cancelled says nothing. Raises BreakerOpenError instead of entering.
        """
        self._enter()
        try:
            yield
        except Exception as error:
            self._record(failed=counts(error))
            raise
        except BaseException:
            self._probing = False
            raise
        self._record(failed=False)

    def _enter(self) -> None:
        state = self.state
        if state is BreakerState.OPEN:
            raise BreakerOpenError(self.name, max(0.0, (self._open_until or 0.0) - self._clock()))
        self._probing = state is BreakerState.HALF_OPEN

    def _record(self, *, failed: bool) -> None:
        if self._open_until is not None:
            if not self._probing:
                return  # began before it opened: old news
            self._probing = False
            if failed:
                self._open()
            else:
                self._close()
            return
        now = self._clock()
        self._calls.append((now, failed))
        while self._calls[0][0] < now - self.policy.window_seconds:
            self._calls.popleft()
        self._streak = self._streak + 1 if failed else 0
        if failed and self._bad():
            self._open()

    def _bad(self) -> bool:
        if self._streak >= self.policy.in_a_row:
            return True
        failures = sum(failed for _, failed in self._calls)
        return len(self._calls) >= self.policy.calls and failures >= self.policy.ratio * len(self._calls)

    def _open(self) -> None:
        pause = min(self.policy.max_open_seconds, self.policy.open_seconds * 2.0 ** min(self._opened, 16))
        self._open_until = self._clock() + pause * (1 + self.policy.jitter * (2 * self._chance() - 1))
        self._opened += 1

    def _close(self) -> None:
        self._open_until = None
        self._opened = self._streak = 0
        self._calls.clear()


def watch_breakers(registry: CollectorRegistry, breakers: list[Breaker]) -> None:
    """Add `breaker_state{dependency}` of several breakers to one registry."""
    gauge = Gauge("breaker_state", "0 closed, 1 half-open, 2 open", ("dependency",), registry=registry)
    for breaker in breakers:
        gauge.labels(breaker.name).set_function(partial(_value, breaker))


def _value(breaker: Breaker) -> float:
    return float(breaker.state)
