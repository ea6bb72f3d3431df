"""A second look at the stream of services, so that one that stands still is noticed, made up for, and ended.

kopf carries the stream and reconnects a silent one, but cannot be asked how it is. So the names and versions of all
services are watched beside it. What they tell and the stream does not is fetched by a list: nothing is missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from productionservice import metrics
from productionservice.api import API_VERSION, PLURAL
from productionservice.engine.client import Resource
from productionservice.engine.parent import Parent
from productionservice.engine.reflector import backoff
from productionservice.engine.store import Delta, Name, Store
from productionservice.errors import OperatorError

log = structlog.get_logger(__name__)

SERVICES = Resource(API_VERSION, PLURAL, metadata_only=True)
LATE_SECONDS = 15.0
"""Longer than the stream needs when thousands of services change at once, shorter than anybody's patience."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class _Seen:
    """One change that the stream has yet to deliver."""

    uid: str
    version: int | None
    """None: the service is gone."""
    at: float


class Names(Store[None]):
    """Names and versions of all services. When the API server's memory goes back, so does what is known of them."""

    def __init__(self, parents: Store[Parent]) -> None:
        super().__init__(_nothing)
        self._parents = parents

    def rewind(self) -> None:
        """See Store.rewind."""
        super().rewind()
        self._parents.rewind()


class StreamCheck:
    """Compares what `Names` tell with what the stream has brought into `parents`; `relist` brings in everything."""

    def __init__(
        self,
        parents: Store[Parent],
        relist: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parents, self._relist, self._clock = parents, relist, clock
        self._pending: dict[Name, _Seen] = {}
        self._missed_since: float | None = None

    @property
    def dead_for(self) -> float:
        """Seconds since the stream has missed something and delivered nothing; 0 while it works."""
        return 0.0 if self._missed_since is None else self._clock() - self._missed_since

    def changed(self, delta: Delta[None]) -> None:
        """A service was changed, or has gone: the stream should say so soon."""
        if delta.old and delta.new and delta.new.version < delta.old.version:
            self._parents.rewind()  # a restored backup: what the stream says of any of them is news
        entry = delta.new or delta.old
        if entry is not None:
            version = entry.version if delta.new else None
            self._pending[delta.name] = _Seen(entry.uid, version, self._clock())

    def heard(self) -> None:
        """The stream has delivered something: it is alive."""
        self._missed_since = None

    def late(self) -> list[Name]:
        """Services whose change the stream should have delivered by now."""
        self._pending = {
            name: seen for name, seen in self._pending.items() if not self._delivered(name, seen)
        }
        now = self._clock()
        return sorted(name for name, seen in self._pending.items() if now - seen.at > LATE_SECONDS)

    async def run(self) -> None:
        """Never returns; only cancelling ends it."""
        failures = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS + (backoff(failures) if failures else 0.0))
            late = self.late()
            failures = 0 if not late or await self._make_up_for(late) else failures + 1

    async def _make_up_for(self, late: list[Name]) -> bool:
        """List all services. False when that failed."""
        if self._missed_since is None:
            self._missed_since = self._clock()
        log.warning("the stream of services is late: listing them", count=len(late), first="/".join(late[0]))
        try:
            await self._relist()
        except OperatorError as error:
            log.warning("services cannot be listed", error=str(error))
            return False
        metrics.STREAM_MISSED.inc(len(late))
        for name in late:  # a list knows everything: what it did not bring is no longer so
            self._pending.pop(name, None)
        return True

    def _delivered(self, name: Name, seen: _Seen) -> bool:
        known = self._parents.get(name)
        if seen.version is None:
            return known is None or known.uid != seen.uid
        return self._parents.version(name) >= seen.version


def _nothing(_body: Mapping[str, Any], _before: None) -> None:
    """Only names and versions are of interest."""
