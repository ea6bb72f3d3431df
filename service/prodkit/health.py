"""Health: verdicts made in the background, read by the probes without any I/O.

A check is an async function that returns when its dependency works and raises when it does not. The verdict
changes slowly (`prodkit.hysteresis`); a critical dependency that is down makes the process unready, an
optional one makes it degraded (still ready). With a fleet (`prodkit.fleet`) the process stays, degraded, while most
replicas have the same trouble; but a dependency that never worked here keeps it unready: a new build that cannot reach
its database must not take the place of one that can.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from prodkit.fleet import Fleet
from prodkit.hysteresis import Hysteresis, Thresholds
from prodkit.lifecycle import Lifecycle, Phase

logger = structlog.get_logger("prodkit.health")
_STALE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency and how to ask it."""

    name: str
    probe: Callable[[], Awaitable[object]]
    """Returns when the dependency works, raises when it does not."""
    critical: bool = True
    """False: the service is degraded without it, never unready."""
    period_seconds: float = 2.0
    timeout_seconds: float = 0.5
    groups: tuple[str, ...] = ()
    """Also part of `/readyz/<group>`, for a caller that needs only some of what this process does."""
    thresholds: Thresholds = field(default_factory=Thresholds)


class _Verdict:
    """What is known about one check."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.hysteresis = Hysteresis(check.thresholds)
        self.latency_ms = 0.0
        self.checked_at = ""
        self.checked_monotonic = 0.0
        self.error = ""
        self.worked = False
        """It has been up."""
        self.down_since = 0.0

    def up(self) -> float:
        return float(self.hysteresis.up is True)

    def view(self, now: float) -> dict[str, Any]:
        status = {None: "unknown", True: "ok", False: "unavailable"}[self.hysteresis.up]
        view: dict[str, Any] = {"status": status, "critical": self.check.critical}
        if self.checked_at:
            view |= {"latencyMs": round(self.latency_ms, 2), "checkedAt": self.checked_at}
        if self.error:
            view["error"] = self.error  # the class only: messages of drivers name hosts and users
        if self.checked_at and now - self.checked_monotonic > _STALE_PERIODS * self.check.period_seconds:
            view["stale"] = True
        return view


class Health:
    """Verdict on every check, and the process's readiness made from them and the lifecycle."""

    def __init__(
        self,
        checks: Sequence[Check] = (),
        *,
        lifecycle: Lifecycle | None = None,
        fleet: Fleet | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fleet` and this need the same clock."""
        names = [check.name for check in checks]
        if len(set(names)) != len(names):
            raise ValueError(f"checks: {names} has a name twice: give every check its own")
        self.lifecycle = lifecycle or Lifecycle()
        self._clock = clock
        self._verdicts = [_Verdict(check) for check in checks]
        self._flips: Counter | None = None
        self._fleet = fleet

    def status(self, group: str = "") -> str:
        """One of `starting`, `ok`, `degraded` (ready, but something is down), `unavailable`, `draining`."""
        if self.lifecycle.draining:
            return "draining"
        if self.lifecycle.phase is Phase.STARTING:
            return "starting"
        down = [verdict for verdict in self._of(group) if verdict.hysteresis.up is False]
        if any(verdict.check.critical and not self._kept(verdict) for verdict in down):
            return "unavailable"
        return "degraded" if down else "ok"

    def ready(self, group: str = "") -> bool:
        """True while traffic should come here."""
        return self.status(group) in ("ok", "degraded")

    def groups(self) -> set[str]:
        """Names of the groups that checks are in."""
        return {group for verdict in self._verdicts for group in verdict.check.groups}

    def report(self, group: str = "") -> dict[str, Any]:
        """Body of the readiness probe."""
        now = self._clock()
        report: dict[str, Any] = {
            "status": self.status(group),
            "checks": {verdict.check.name: verdict.view(now) for verdict in self._of(group)},
        }
        if self._fleet is not None:
            report["fleet"] = {"others": self._fleet.others, "well": self._fleet.others_well}
        return report

    def _of(self, group: str) -> list[_Verdict]:
        return [verdict for verdict in self._verdicts if not group or group in verdict.check.groups]

    def _kept(self, verdict: _Verdict) -> bool:
        """True when a critical dependency is down and leaving would not help."""
        return self._fleet is not None and verdict.worked and not self._fleet.lets_go(verdict.down_since)

    def _well(self) -> bool | None:
        """What the others are told."""
        if self.lifecycle.phase is not Phase.SERVING:
            return None
        return not any(it.check.critical and it.hysteresis.up is False for it in self._verdicts)

    def register(self, registry: CollectorRegistry) -> None:
        """Add `service_ready`, `dependency_up` and `readiness_flips_total` to a registry."""
        Gauge("service_ready", "1 while traffic should come here", registry=registry).set_function(
            lambda: float(self.ready())
        )
        up = Gauge("dependency_up", "Verdict on a dependency", ("dependency",), registry=registry)
        self._flips = Counter("readiness_flips", "Changes of a verdict", ("dependency",), registry=registry)
        for verdict in self._verdicts:
            up.labels(verdict.check.name).set_function(verdict.up)
            self._flips.labels(verdict.check.name)
        if self._fleet is not None:
            self._fleet.register(registry)

    async def check_once(self) -> None:
        """Ask every dependency once, all at the same time."""
        await asyncio.gather(*(self._ask(verdict) for verdict in self._verdicts))

    async def run(self) -> None:
        """Ask for ever, each check in its own period ± 20 % so that replicas do not beat in step."""
        async with (
            asyncio.TaskGroup() as group
        ):  # waits for all of them: the fleet is told that this one leaves
            for verdict in self._verdicts:
                group.create_task(self._ask_for_ever(verdict))
            if self._fleet is not None:
                group.create_task(self._fleet.run(self._well))

    async def _ask_for_ever(self, verdict: _Verdict) -> None:
        while True:
            await asyncio.sleep(verdict.check.period_seconds * random.uniform(0.8, 1.2))  # noqa: S311  jitter, not a secret
            await self._ask(verdict)

    async def _ask(self, verdict: _Verdict) -> None:
        started = time.perf_counter()
        error = ""
        try:
            async with asyncio.timeout(verdict.check.timeout_seconds):
                await verdict.check.probe()
        except Exception as cause:  # noqa: BLE001  whatever a probe raises means "does not work"
            error = type(cause).__name__
        verdict.latency_ms = (time.perf_counter() - started) * 1000
        verdict.checked_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        verdict.error = error
        self._judge(verdict, ok=not error)

    def _judge(self, verdict: _Verdict, *, ok: bool) -> None:
        now = self._clock()
        verdict.checked_monotonic = now
        before = verdict.hysteresis.up
        after = verdict.hysteresis.observe(ok=ok, now=now)
        verdict.worked = verdict.worked or after
        if before is not after and not after:
            verdict.down_since = now
        if before is after or (before is None and after):
            return
        log = logger.info if after else logger.warning
        log(
            "dependency is up again" if after else "dependency is down",
            dependency=verdict.check.name,
            critical=verdict.check.critical,
            error=verdict.error,
        )
        if before is not None and self._flips is not None:
            self._flips.labels(verdict.check.name).inc()
