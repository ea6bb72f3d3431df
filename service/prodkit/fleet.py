"""What the replicas of a service know of each other, so that a fault which all share takes none of them out.

Kubernetes sends nothing to a replica that is not ready. When the database is down for all, taking all out helps nobody:
what needs no database, or is in the cache, could still be served. So a replica leaves for a dependency only when most
of the others do well without trouble of their own. They tell each other through Redis; without news nobody leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Gauge

logger = structlog.get_logger("prodkit.fleet")

PERIOD_SECONDS = 2.0
"""How often a replica tells how it does, ± 20 %."""
LIFE_SECONDS = 10.0
"""Whoever said nothing for so long is not counted; news so old is no news."""
PATIENCE_SECONDS = 8.0
"""So long others may take to notice the same: three failed checks of theirs, telling it, and our next look."""
_KEY_SECONDS = 60


class Fleet:
    """This replica among the others of its service."""

    def __init__(
        self,
        client: Any,
        *,
        app: str,
        period_seconds: float = PERIOD_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client` is a `redis.asyncio.Redis` (`prodkit.redis_client`); `app` names the service."""
        self.others = 0
        """Other replicas that serve."""
        self.others_well = 0
        """Those of them whose critical dependencies all work."""
        self._client = client
        self._key = f"{app}:fleet"
        self._me = secrets.token_hex(8)
        self._period = period_seconds
        self._patience = patience_seconds
        self._clock = clock
        self._heard = -LIFE_SECONDS
        self._well_since: float | None = None

    def lets_go(self, ill_since: float) -> bool:
        """True when a replica that is ill since then (by the clock) may leave: it is the only one, or one of few."""
        now = self._clock()
        well_since = self._well_since
        if well_since is None or now - self._heard > LIFE_SECONDS:
            return False
        return now - max(ill_since, well_since) >= self._patience

    async def run(self, well: Callable[[], bool | None]) -> None:
        """Tell and listen until cancelled. `well`: whether this replica does well; None: it does not serve."""
        try:
            while True:
                await self.tell(well())
                await asyncio.sleep(self._period * random.uniform(0.8, 1.2))  # noqa: S311  jitter, not a secret
        finally:
            await self.tell(None)

    async def tell(self, well: bool | None) -> None:
        """Tell how this replica does, or with None that it does not serve, and hear of the others."""
        with contextlib.suppress(Exception):  # whatever Redis says: no news
            pipeline = self._client.pipeline(transaction=False)
            (now, _), told = await pipeline.time().hgetall(self._key).execute()
            self._hear(told, now)
            pipeline = self._client.pipeline(transaction=False)
            if gone := [name for name, text in told.items() if abs(now - _read(text)[0]) > _KEY_SECONDS]:
                pipeline.hdel(self._key, *gone)
            if well is None:
                pipeline.hdel(self._key, self._me)
            else:
                pipeline.hset(self._key, self._me, f"{now} {int(well)}")
            await pipeline.expire(self._key, _KEY_SECONDS).execute()

    def register(self, registry: CollectorRegistry) -> None:
        """Add `fleet_others` and `fleet_others_well` to a registry."""
        Gauge("fleet_others", "Other replicas that serve", registry=registry).set_function(
            lambda: self.others
        )
        Gauge(
            "fleet_others_well", "Other replicas whose critical dependencies work", registry=registry
        ).set_function(lambda: self.others_well)

    def _hear(self, told: dict[bytes, bytes], now: int) -> None:
        others = [_read(text) for name, text in told.items() if name.decode(errors="replace") != self._me]
        alive = [well for at, well in others if abs(now - at) <= LIFE_SECONDS]
        self.others, self.others_well = len(alive), sum(alive)
        self._heard = self._clock()
        if not alive or 2 * self.others_well < self.others:
            self._well_since = None
        elif self._well_since is None:
            self._well_since = self._heard


def _read(text: bytes) -> tuple[int, bool]:
    """When it was told (seconds of Redis' time) and what; long ago when it cannot be read."""
    try:
        at, well = text.split()
        return int(at), well == b"1"
    except ValueError:
        return 0, False
