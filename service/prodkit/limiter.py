"""How many requests may be in flight: the smaller answer of two controllers. Pure: time and samples are arguments.

* `LagController` sees that the processor is saturated: one event loop serves late when it has too much to do.
* `GradientController` sees that something behind us became slow while our loop is idle.

Neither limits anything before it has seen trouble: a burst of cheap requests is no overload. Numbers without a
source beside them are from our own measurements (`python -m benchmarks.service overload`).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from enum import StrEnum

MAXIMUM = 400
"""Requests in flight when nothing is wrong; one event loop is never better off with more."""


class Priority(StrEnum):
    """What is refused first. Probes have a port of their own and are never refused."""

    CRITICAL = "critical"
    NORMAL = "normal"
    SHEDDABLE = "sheddable"


SHARES = {Priority.CRITICAL: 1.0, Priority.NORMAL: 0.9, Priority.SHEDDABLE: 0.7}
"""Part of the limit that requests of a class may fill."""


@dataclass(frozen=True, slots=True)
class LagTuning:
    """Additive increase, multiplicative decrease on the event loop's lag."""

    target_seconds: float = 0.012
    """A request waits for its turn twice and more: this keeps a saturated service within 3 times its best p99."""
    smoothing: float = 0.5
    mild_decrease: float = 0.9
    strong_decrease: tuple[float, float] = (0.25, 0.7)
    """At more than twice the target: target by lag, within these bounds."""
    serious_seconds: float = 0.1
    """One turn of the loop that took so long ends the window at once."""
    patience_windows: int = 3
    """So many late windows in a row, or a serious one, before anything is limited: a burst is not overload."""
    minimum: float = 4
    quiet_windows: int = 20
    """So many windows in a row with room to spare, and nothing is limited any more."""


class LagController:
    """A limit that keeps the loop's lag near its target."""

    def __init__(self, tuning: LagTuning | None = None) -> None:
        self.tuning = tuning or LagTuning()
        self.limit = float(MAXIMUM)
        self.lag = 0.0
        """Smoothed, in seconds."""
        self._quiet = 0
        self._late = 0

    def observe(self, mean_lag: float, peak: int, *, full: bool) -> None:
        """End a window: its mean lag, most requests in flight, and whether the limit was reached."""
        tuning = self.tuning
        self.lag += tuning.smoothing * (mean_lag - self.lag)
        self._late = self._late + 1 if self.lag > tuning.target_seconds else 0
        patient = self.limit >= MAXIMUM and self._late < tuning.patience_windows
        if self._late and (not patient or mean_lag > tuning.serious_seconds):
            self._quiet = 0
            worst = max(self.lag, mean_lag)
            factor = tuning.mild_decrease
            if worst > 2 * tuning.target_seconds:
                least, most = tuning.strong_decrease
                factor = max(least, min(most, tuning.target_seconds / worst))
            self.limit = max(tuning.minimum, min(self.limit, peak) * factor)
        elif full:
            self._quiet = 0
            self.limit = min(MAXIMUM, self.limit + max(1.0, self.limit / (8 if self._well() else 16)))
        else:
            self._quiet += 1
            if self._quiet >= tuning.quiet_windows:
                self.limit = float(MAXIMUM)

    def _well(self) -> bool:
        return self.lag < self.tuning.target_seconds / 2


@dataclass(frozen=True, slots=True)
class GradientTuning:
    """Netflix's Gradient2 (concurrency-limits), on latencies relative to each route's own baseline."""

    tolerance: float = 2.0
    smoothing: float = 0.2
    minimum: float = 50
    """More than a usual pool of connections; the processor is the other controller's business."""
    floor_seconds: float = 0.05
    """A baseline is never lower: only what takes more than 100 ms can be congestion."""
    rise: float = 0.0005
    """The baseline follows upwards by this part a window: a new normal is accepted after minutes."""
    fewest_samples: int = 10
    most_samples: int = 512
    most_routes: int = 1024


class GradientController:
    """A limit that follows what the latency of all routes says about the things behind them."""

    def __init__(self, tuning: GradientTuning | None = None) -> None:
        self.tuning = tuning or GradientTuning()
        self.limit = float(MAXIMUM)
        self.gradient = 1.0
        """1: as fast as ever; 0.5: much slower."""
        self.baselines: dict[str, float] = {}
        """Seconds by route."""
        self._samples: list[tuple[str, float]] = []

    def record(self, route: str, seconds: float) -> None:
        """One request that was answered in one piece."""
        if len(self._samples) < self.tuning.most_samples:
            self._samples.append((route, seconds))

    def observe(self, peak: int, *, full: bool, lagging: bool) -> None:
        """End a window; few samples make it longer. `lagging`: our own loop explains the latency."""
        tuning = self.tuning
        if len(self._samples) < tuning.fewest_samples:
            return
        ratio = statistics.median(
            seconds / self._baseline(route, seconds, lagging=lagging) for route, seconds in self._samples
        )
        self._samples.clear()
        self.gradient = 1.0 if lagging else max(0.5, min(1.0, tuning.tolerance / ratio)) if ratio else 1.0
        if self.gradient < 1.0:
            base = min(self.limit, peak)
            self.limit = max(tuning.minimum, base * (1 - tuning.smoothing * (1 - self.gradient)))
        elif full or self.limit < 2 * peak:
            self.limit = min(MAXIMUM, self.limit + math.sqrt(self.limit))
        elif not lagging:
            self.limit = min(MAXIMUM, self.limit * (1 + tuning.smoothing))

    def _baseline(self, route: str, seconds: float, *, lagging: bool) -> float:
        tuning = self.tuning
        known = self.baselines.get(route)
        if known is None:
            if len(self.baselines) >= tuning.most_routes:
                return max(tuning.floor_seconds, seconds)
            known = max(tuning.floor_seconds, seconds)
        elif seconds < known:
            known = max(tuning.floor_seconds, known + 0.1 * (seconds - known))
        elif not lagging:
            known *= 1 + tuning.rise / 10  # ten samples or more make a window
        self.baselines[route] = known
        return known


class Limiter:
    """Admits or refuses; has to be told when a request ends and, ten times a second, when a window does."""

    def __init__(self, lag: LagController | None = None, gradient: GradientController | None = None) -> None:
        self.lag = lag or LagController()
        self.gradient = gradient or GradientController()
        self.in_flight = 0
        self.limit = float(MAXIMUM)
        self._peak = 0
        self._full = False
        self._lags: list[float] = []
        self._serious = 0.0

    def admit(self, priority: Priority) -> bool:
        """True: serve it, and call `release` at its end. False: refuse it now."""
        count = self.in_flight
        if count >= self.limit * SHARES[priority]:
            self._full = True
            return False
        self.in_flight = count = count + 1
        self._peak = max(self._peak, count)
        return True

    def release(self) -> None:
        """A request that was admitted has ended, however."""
        self.in_flight -= 1

    def sample_lag(self, seconds: float) -> bool:
        """How much later than asked for the event loop called us. True: end the window now, it is serious."""
        self._lags.append(max(0.0, seconds))
        if seconds > self.lag.tuning.serious_seconds:
            self._serious = seconds
        return self._serious > 0

    def end_window(self) -> None:
        """About every 100 ms: learn from what was seen since the last time."""
        mean = sum(self._lags) / len(self._lags) if self._lags else 0.0
        full = self._full or self._peak >= 0.8 * self.limit
        # The calm before one long turn of the loop says nothing about it.
        self.lag.observe(max(mean, self._serious), self._peak, full=full)
        lagging = self.lag.lag > self.lag.tuning.target_seconds
        self.gradient.observe(self._peak, full=full, lagging=lagging)
        self.limit = min(self.lag.limit, self.gradient.limit)
        self._lags.clear()
        self._peak = self.in_flight
        self._full = False
        self._serious = 0.0
