"""How many requests may be in flight: the smaller answer of two controllers. Pure: time and samples are arguments.

* `LagController` sees that the processor is saturated: one event loop serves late when it has too much to do. Once it
  limits, it looks for the fewest requests at once that keep the loop at work: more would only wait for each other.
* `GradientController` sees that something behind us became slow while our loop is idle.

Neither limits anything before it has seen trouble: a burst of cheap requests is no overload. Lateness that others on
the machine made is no overload either: refusing anybody would not make it less (`own_lag`). A request that waits for
what another one does holds no place meanwhile (`waiting`). Numbers without a source beside them are from our own
measurements (`python -m benchmarks.service overload`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

SAMPLE_SECONDS = 0.01
"""How often the event loop is asked how late it is."""
WINDOW_SECONDS = 0.1
"""Windows end by the clock: ten samples of a loop that is late a second each would be ten seconds."""
MOST_WAITING = 4000
"""Requests that wait without a place; each still holds memory."""
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

    target_seconds: float = 0.010
    """A request waits for its turn twice and more: this keeps a saturated service within about 3 times its best p99."""
    smoothing: float = 0.5
    mild_decrease: float = 0.9
    strong_decrease: tuple[float, float] = (0.25, 0.7)
    """At more than twice the target: target by lag, within these bounds."""
    saturated: float = 0.97
    """So much of a window spent working, and more requests at once would only wait for each other."""
    sinking: float = 0.95
    """What a saturated loop keeps of its limit a window, until its lag is well within the target."""
    serious_seconds: float = 0.1
    """One turn of the loop that took so long ends the window at once."""
    patience_windows: int = 3
    """So many late windows in a row, or a serious one, before anything is limited: a burst is not overload."""
    minimum: float = 4
    quiet_windows: int = 20
    """So many windows in a row with room to spare, and nothing is limited any more."""
    calm_windows: int = 10
    """So many windows in time before one that is late may be a mere burst."""
    longest_burst_seconds: float = 0.3
    """A longer turn is never excused: the callers behind it give up."""
    mostly: float = 0.5
    """Others had more than this part of a window: its lag may be theirs."""
    starved_factor: float = 2.0
    """The target is higher by at most this while others have the processor: answers are late then in any case."""
    waiting_smoothing: float = 0.1
    """How fast the floor follows what is in flight while nothing is late."""
    waiting_decay: float = 0.9
    """The floor sinks by this much a late window: what does not go away was no mere waiting."""


class LagController:
    """A limit that keeps the loop's lag near its target."""

    def __init__(self, tuning: LagTuning | None = None) -> None:
        self.tuning = tuning or LagTuning()
        self.limit = float(MAXIMUM)
        self.lag = 0.0
        """Smoothed, in seconds."""
        self.waiting = 0.0
        """Requests in flight while the loop is on time: they cost it nothing, so the limit counts from there."""
        self._quiet = 0
        self._late = 0
        self._last = 0.0
        self._draining = False
        self._calm = self.tuning.calm_windows

    def observe(
        self,
        mean_lag: float,
        peak: int,
        *,
        full: bool,
        starved: float = 0.0,
        fewest: int = 0,
        busy: float = 0.0,
    ) -> None:
        """End a window: its mean lag, most and fewest requests in flight, and whether the limit was reached.

        `starved` is the part of the window (0 to 1) in which others had the processor that we wanted, `busy` the part
        of the rest in which the loop worked.
        """
        tuning = self.tuning
        # What piled up, at once or while others ran: as long as it gets less by itself, nobody has to go.
        # Once after a second of calm: an overload has short turns between its long ones too.
        begins = self._calm >= tuning.calm_windows
        shrinks = (self._draining or starved > tuning.mostly) and mean_lag < 0.9 * self._last
        excusable = tuning.target_seconds < mean_lag <= tuning.longest_burst_seconds
        self._draining = (begins or shrinks) and excusable
        self._last = mean_lag
        self._calm = self._calm + 1 if mean_lag <= tuning.target_seconds else 0
        if self._draining:
            mean_lag = tuning.target_seconds
        target = tuning.target_seconds * min(tuning.starved_factor, 1 / max(1 - starved, 0.01))
        self.lag += tuning.smoothing * (mean_lag - self.lag)
        self._late = self._late + 1 if self.lag > target else 0
        patient = self.limit >= MAXIMUM and self._late < tuning.patience_windows
        if self._late and (not patient or mean_lag > tuning.serious_seconds):
            self._quiet = 0
            self.waiting *= tuning.waiting_decay
            self._decrease(max(self.lag, mean_lag), target, peak)
        elif full and (busy < tuning.saturated or self._well()):
            self._quiet = 0
            self.limit = min(MAXIMUM, self.limit + max(1.0, self.limit / (8 if self._well() else 16)))
        elif full:
            self._quiet = 0
            if self.limit < MAXIMUM:  # there was trouble before
                self.limit = self._at_least(self.limit * tuning.sinking)
        else:
            self._quiet += 1
            if self.limit >= MAXIMUM and self._well():
                self.waiting += tuning.waiting_smoothing * (fewest - self.waiting)
            if self._quiet >= tuning.quiet_windows:
                self.limit = float(MAXIMUM)

    def _decrease(self, worst: float, target: float, peak: int) -> None:
        tuning = self.tuning
        factor = tuning.mild_decrease
        if worst > 2 * target:
            least, most = tuning.strong_decrease
            factor = max(least, min(most, target / worst))
        self.limit = self._at_least(min(self.limit, peak) * factor)

    def _at_least(self, limit: float) -> float:
        return min(MAXIMUM, max(self.tuning.minimum, self.waiting, limit))

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


def own_lag(seconds: float, *, used: float, starved: float) -> float:
    """The part of a lag that is this loop's own work, in seconds.

    Time in which others had the processor is not; neither is time in which the loop slept in a call that blocks, or
    in which a hypervisor kept the machine from running: the time that the process ran is the most, with the threads of
    its pool, which the loop waits for as well.
    """
    return max(0.0, min(seconds - starved, used))


class Limiter:
    """Admits or refuses; has to be told when a request ends and, ten times a second, when a window does."""

    def __init__(self, lag: LagController | None = None, gradient: GradientController | None = None) -> None:
        self.lag = lag or LagController()
        self.gradient = gradient or GradientController()
        self.in_flight = 0
        self.waiting = 0
        """Requests that were admitted, have not ended, and hold no place because they wait for another one."""
        self.limit = float(MAXIMUM)
        self.late = False
        """The last window was late: whoever is admitted now may have to wait for a turn (`overdue`)."""
        self._peak = 0
        self._fewest = 0
        self._full = False
        self._lags: list[float] = []
        self._serious = 0.0
        self._elapsed = 0.0
        self._starved = 0.0
        self._worked = 0.0

    def admit(self, priority: Priority) -> bool:
        """True: serve it, and call `release` at its end. False: refuse it now."""
        if self.refuses(priority):
            return False
        self.in_flight = count = self.in_flight + 1
        self._peak = max(self._peak, count)
        return True

    def refuses(self, priority: Priority) -> bool:
        """True when `admit` would say no now: known before anything is made for the request."""
        if self.in_flight < self.limit * SHARES[priority]:
            return False
        self._full = True
        return True

    def release(self) -> None:
        """A request that was admitted has ended, however."""
        self.in_flight -= 1
        self._fewest = min(self._fewest, self.in_flight)

    def overdue(self, waited: float) -> bool:
        """True when a request has waited so many seconds for its first turn that its caller is about to give up.

        All that one turn reads is admitted before any of it is served, so a limit learned from this turn comes too late
        for them.
        """
        return waited > self.lag.tuning.longest_burst_seconds

    def sample_lag(
        self, seconds: float, *, used: float = math.inf, starved: float = 0.0, worked: float = 0.0
    ) -> bool:
        """How much later than asked for the event loop called us. True: call `end_window` now.

        `used`, `worked` and `starved` are the seconds since the last sample in which this process ran, in which the
        loop's own thread did, and in which that could have run but others had the processor.
        """
        own = own_lag(seconds, used=used, starved=starved)
        self._lags.append(own)
        self._elapsed += SAMPLE_SECONDS + max(0.0, seconds)
        self._starved += starved
        self._worked += worked
        if own > self.lag.tuning.serious_seconds:
            self._serious = own
        return self._serious > 0 or self._elapsed > WINDOW_SECONDS - SAMPLE_SECONDS / 2

    def end_window(self) -> None:
        """Learn from what was seen since the last time."""
        mean = sum(self._lags) / len(self._lags) if self._lags else 0.0
        full = self._full or self._peak >= 0.8 * self.limit
        starved = min(1.0, self._starved / self._elapsed) if self._elapsed else 0.0
        # The calm before one long turn of the loop says nothing about it.
        worst = max(mean, self._serious)
        self.late = worst > self.lag.tuning.target_seconds
        busy = self._worked / max(self._elapsed - self._starved, SAMPLE_SECONDS)
        self.lag.observe(worst, self._peak, full=full, starved=starved, fewest=self._fewest, busy=busy)
        lagging = self.lag.lag > self.lag.tuning.target_seconds
        self.gradient.observe(self._peak, full=full, lagging=lagging or starved > self.lag.tuning.mostly)
        self.limit = min(self.lag.limit, self.gradient.limit)
        self._lags.clear()
        self._peak = self._fewest = self.in_flight
        self._full = False
        self._serious = self._elapsed = self._starved = self._worked = 0.0


class Slot:
    """The place of one admitted request."""

    __slots__ = ("_held", "_limiter", "_parked")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._held = True
        self._parked = False

    def occupy(self) -> None:
        """Make it the place of the request that this task handles."""
        _slot.set(self)

    def release(self) -> None:
        """The request has ended. Once is enough; what its tasks still wait for takes no place any more."""
        self._return()
        if self._held:
            self._held = False
            self._limiter.release()

    def park(self) -> bool:
        """Give the place up for a while. False when it is not held, or too many already wait."""
        limiter = self._limiter
        if not self._held or self._parked or limiter.waiting >= MOST_WAITING:
            return False
        self._parked = True
        limiter.waiting += 1
        limiter.release()
        return True

    def unpark(self) -> None:
        """Take the place back: who was admitted once is not refused any more."""
        self._return()

    def _return(self) -> None:
        if self._parked:
            self._parked = False
            self._limiter.waiting -= 1
            self._limiter.in_flight += 1


_slot: ContextVar[Slot | None] = ContextVar("prodkit_slot", default=None)


@contextmanager
def waiting() -> Iterator[None]:
    """Around an `await` of what another request already does: meanwhile the caller's request holds no place.

    Only for waiting that costs nothing and ends by itself, as that for one load of a key. Nothing happens outside of
    a request, or without a limiter.
    """
    slot = _slot.get()
    if slot is None or not slot.park():
        yield
        return
    try:
        yield
    finally:
        slot.unpark()
