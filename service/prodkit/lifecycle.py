"""The life of one process: starting, serving, draining, stopped. Every other part asks here."""

from __future__ import annotations

import asyncio
from enum import StrEnum


class Phase(StrEnum):
    """Where a process is in its life. It only ever moves forward."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


_ORDER = list(Phase)


class Lifecycle:
    """The phase of this process, and a way to wait for the drain.

    A long poll or an event stream has to end by itself when the drain begins:
    `await lifecycle.wait_draining()` in one task, or look at `lifecycle.draining` between two events.
    """

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.served = False
        """True once the process has been ready for traffic: only then can anybody know its address."""
        self._draining = asyncio.Event()

    @property
    def draining(self) -> bool:
        """True from the first stop signal on."""
        return self.phase in (Phase.DRAINING, Phase.STOPPED)

    async def wait_draining(self) -> None:
        """Return when the drain begins."""
        await self._draining.wait()

    def mark_serving(self) -> None:
        """Start-up is done."""
        self._advance(Phase.SERVING)
        self.served = self.served or self.phase is Phase.SERVING

    def mark_draining(self) -> None:
        """A stop was asked for: readiness goes off, requests are still answered."""
        self._advance(Phase.DRAINING)
        self._draining.set()

    def mark_stopped(self) -> None:
        """Nothing is answered any more."""
        self._advance(Phase.STOPPED)
        self._draining.set()

    def _advance(self, phase: Phase) -> None:
        if _ORDER.index(phase) > _ORDER.index(self.phase):
            self.phase = phase
