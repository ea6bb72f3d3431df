"""When a dependency counts as down, and when as up again. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How slowly a verdict changes. The defaults keep a dependency that flaps at 1 Hz to two flips."""

    down_after: int = 3
    """Failures in a row that make it down."""
    down_of: tuple[int, int] = (6, 10)
    """So many failures of the last so many also make it down."""
    up_after: int = 5
    """Successes in a row that make it up."""
    hold_seconds: float = 15.0
    """It stays down at least this long; doubled for each flip within `memory_seconds`."""
    max_hold_seconds: float = 120.0
    memory_seconds: float = 600.0


class Hysteresis:
    """The verdict on one dependency. The first result decides at once: there is no past to protect."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self.up: bool | None = None
        """None until the first result."""
        self.flips = 0
        """Changes of the verdict after the first."""
        self._recent: deque[bool] = deque(maxlen=self.thresholds.down_of[1])
        self._streak = 0
        self._last: bool | None = None
        self._down_since = 0.0
        self._downs: deque[float] = deque()

    def observe(self, *, ok: bool, now: float) -> bool:
        """Take one result at `now` (seconds of any steady clock); returns the verdict."""
        self._streak = self._streak + 1 if ok is self._last else 1
        self._last = ok
        self._recent.append(ok)
        if self.up is None:
            self.up = ok
            if not ok:
                self._down_since = now
        elif self.up and not ok and self._is_down():
            self._flip(now, up=False)
        elif not self.up and ok and self._streak >= self.thresholds.up_after and now >= self._held_until():
            self._flip(now, up=True)
        return self.up

    def _is_down(self) -> bool:
        failures, window = self.thresholds.down_of
        return self._streak >= self.thresholds.down_after or (
            len(self._recent) == window and self._recent.count(False) >= failures
        )

    def _held_until(self) -> float:
        doublings = max(0, len(self._downs) - 1)
        hold = self.thresholds.hold_seconds * 2.0 ** min(doublings, 16)
        return self._down_since + min(hold, self.thresholds.max_hold_seconds)

    def _flip(self, now: float, *, up: bool) -> None:
        self.up = up
        self.flips += 1
        if up:
            self._recent.clear()
            return
        self._down_since = now
        self._downs.append(now)
        while self._downs and self._downs[0] < now - self.thresholds.memory_seconds:
            self._downs.popleft()
