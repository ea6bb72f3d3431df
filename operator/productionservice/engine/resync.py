"""Looks at all services now and then, and lists them anew less often: the backstop for what events have lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import structlog

from productionservice.engine.answers import NotFound
from productionservice.engine.caches import PARENTS, Caches
from productionservice.engine.client import AGAIN_PAGE, PAGE, Client
from productionservice.engine.parent import Parent
from productionservice.engine.reflector import backoff
from productionservice.engine.store import Delta, Name, name_of
from productionservice.engine.triggers import Triggers
from productionservice.errors import OperatorError

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Part of the interval: replicas and restarts do not fall into step."""


class Resync:
    """kopf delivers no deletions that happened while its watch was interrupted (measured): a list finds them."""

    def __init__(
        self, client: Client, caches: Caches, triggers: Triggers, *, namespaces: Sequence[str], seconds: float,
        relist_seconds: float,
    ) -> None:  # fmt: skip
        self._client, self._caches, self._triggers = client, caches, triggers
        self._namespaces: Sequence[str | None] = namespaces or [None]
        self._seconds, self._relist_seconds = seconds, relist_seconds
        self._listed = float("-inf")
        self.synced = asyncio.Event()
        """Set once all services are known."""

    async def run(self) -> None:
        """Never returns; only cancelling ends it."""
        failures = 0
        while True:
            try:
                if time.monotonic() - self._listed >= self._relist_seconds:
                    await self.relist()
                failures = 0
            except OperatorError as error:
                failures += 1
                hint = "install the CRD" if isinstance(error, NotFound) else "see the error"
                log.warning("services cannot be listed", todo=hint, failures=failures, error=str(error))
                await asyncio.sleep(backoff(failures))
                continue
            self._triggers.resync()
            self.synced.set()
            await asyncio.sleep(self._seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - jitter

    async def relist(self) -> None:
        """Take in all services as they are now. Raises OperatorError."""
        started = time.monotonic()
        parents, size = self._caches.parents, AGAIN_PAGE if self.synced.is_set() else PAGE
        for namespace in self._namespaces:
            listed: set[Name] = set()
            version = ""
            async for items, at in self._client.pages(PARENTS, namespace, size=size):
                version = at
                listed.update(name_of(body["metadata"]) for body in items)
                found = [parents.put(body, listed_at=at) for body in items]
                self._tell([delta for delta in found if delta is not None])
            self._tell(parents.retain(listed, version, namespace))
        self._listed = started

    def _tell(self, deltas: Sequence[Delta[Parent]]) -> None:
        for delta in deltas:
            self._triggers.parent(delta)
