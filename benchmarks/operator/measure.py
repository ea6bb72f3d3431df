"""What is read from outside the operator: its process in /proc, and the API server's audit log."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from productionservice.engine.client import AGENT

QUIET_SECONDS = 5.0
"""Without a request for this long, a client has done what it has to."""
_TICKS = os.sysconf("SC_CLK_TCK")
_WRITES = frozenset({"create", "update", "patch", "delete"})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Memory of a process, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Request:
    """One answered request of the audit log."""

    verb: str
    resource: str
    name: str
    agent: str
    code: int
    received: float
    answered: float
    """Seconds since the epoch."""

    @property
    def writes(self) -> bool:
        """True for what may change something; Leases and Events aside."""
        return self.verb in _WRITES and self.resource not in {"leases", "events"}

    @property
    def tells(self) -> bool:
        """True for an Event: a write too, but one that changes nothing."""
        return self.verb in _WRITES and self.resource == "events"

    @property
    def ours(self) -> bool:
        """True for the operator's own."""
        return self.agent.startswith(AGENT)


class AuditTail:
    """Requests that are answered from now on."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, path.stat().st_size

    def read(self) -> list[Request]:
        """Those since the last call."""
        with self._path.open("rb") as log:
            log.seek(self._at)
            lines = log.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._at += sum(map(len, whole))
        events = [json.loads(line) for line in whole]
        return [
            _request(event)
            for event in events
            if event.get("stage") == "ResponseComplete" and "objectRef" in event
        ]


async def calls_until_quiet(tail: AuditTail, of: Callable[[Request], bool]) -> list[Request]:
    """All requests of one client but watches and Leases, until it has nothing more to do."""
    seen: list[Request] = []
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        new = [r for r in tail.read() if of(r) and r.verb != "watch" and r.resource != "leases"]
        if new:
            seen, quiet_since = seen + new, time.monotonic()
        await asyncio.sleep(0.5)
    return seen


def _request(event: dict[str, Any]) -> Request:
    ref, status = event["objectRef"], event.get("responseStatus") or {}
    return Request(
        verb=str(event["verb"]), resource=str(ref.get("resource")), name=str(ref.get("name", "")),
        agent=str(event.get("userAgent", "")), code=int(status.get("code", 0)),
        received=_seconds(str(event["requestReceivedTimestamp"])), answered=_seconds(str(event["stageTimestamp"])),
    )  # fmt: skip


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def percentile(values: list[float], part: float) -> float:
    """The smallest value that `part` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
