"""Keeps a Store equal to what the API server has of one kind: list once, then watch, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from productionservice import metrics
from productionservice.engine.answers import Expired, NotFound
from productionservice.engine.client import AGAIN_PAGE, PAGE, WATCH_SECONDS, Client, Resource, WatchEvent
from productionservice.engine.store import Delta, Name, Store, name_of
from productionservice.errors import OperatorError, Rejected, Transient

log = structlog.get_logger(__name__)

T = TypeVar("T")
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0
"""Seconds between tries while the API server does not answer."""
RELIST_SECONDS = 600.0
"""A backstop: what a watch has lost without a word is found by the next list. Unchanged objects cost a comparison."""
SOONEST = 0.8
"""Part of that time after which the next list may come. All kinds were listed together at the start: listed together
again, what all of them hold at once is memory that stays."""
UNSERVED_SECONDS = 60.0
"""At most, between two looks at a kind that is not served; a change of a CRD makes it sooner."""
jitter = random.uniform


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, a random half of it taken off."""
    return min(BACKOFF_FIRST * 2.0 ** min(failures - 1, 16), BACKOFF_MOST) * random.uniform(0.5, 1)  # noqa: S311 - jitter


class Reflector(Generic[T]):
    """One kind, in one namespace or in all. `on_change` gets each change once, relisted deletions included."""

    def __init__(
        self, client: Client, resource: Resource, store: Store[T], on_change: Callable[[Delta[T]], None], *,
        namespace: str | None = None, selector: str = "", relist_seconds: float = RELIST_SECONDS,
    ) -> None:  # fmt: skip
        """`relist_seconds`: how often the whole kind is listed though no watch broke."""
        self._client, self._store, self._on_change = client, store, on_change
        self.on_served: Callable[[], None] = lambda: None
        """Called when `unserved` has changed."""
        self._namespace, self._selector, self._relist = namespace, selector, relist_seconds
        self.resource = resource
        metrics.INFORMER_RELISTS.labels(resource.plural)  # there, at 0, before the first list
        self.synced = asyncio.Event()
        """Set once the first list is in the store, or the kind is known not to be served."""
        self.unserved: OperatorError | None = None
        """Why there is nothing to list: no such kind, or not for us. None while it is served."""
        self.maybe_served = asyncio.Event()
        """Set when a CRD has changed: an unserved kind may be there now."""
        self.lists = 0
        """Complete lists so far."""
        self._version = ""
        self._newest = 0
        self._due = time.monotonic() + relist_seconds
        self._heard = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the API server said anything on this watch, bookmarks included. 0 for a kind not served."""
        return 0.0 if self.unserved else time.monotonic() - self._heard

    async def run(self) -> None:
        """Never returns; only cancelling ends it."""
        failures = looks = 0
        while True:
            heard = self._heard
            self.maybe_served.clear()  # before the look: what comes meanwhile makes the next one
            try:
                if not self._version or self._left() <= 0:
                    await self._list()
                looks = 0
                await self._watch()
                failures = 0
            except (NotFound, Rejected) as error:
                looks = 0 if await self._unserved(error, looks) else looks + 1
                failures = 0
            except Expired:
                log.info("the watch is too old: listing again", resource=self.resource.plural)
                self._version = ""
            except OperatorError as error:
                # A stream that delivered something before it broke is a new failure, not one more.
                failures = 1 if self._heard > heard else failures + 1
                log.warning(
                    "the watch broke", resource=self.resource.plural, failures=failures, error=str(error)
                )
                asked = error.retry_after if isinstance(error, Transient) else None
                await asyncio.sleep(max(backoff(failures), asked or 0.0))

    async def _list(self) -> None:
        """Page by page: the bodies of a whole cluster are never in memory at once."""
        listed: set[Name] = set()
        version = ""
        size = AGAIN_PAGE if self.lists else PAGE
        async for items, version in self._client.pages(
            self.resource, self._namespace, self._selector, size=size
        ):
            if not listed and int(version) < self._newest:
                log.warning(
                    "the API server's memory went back", resource=self.resource.plural, version=version
                )
                self._store.rewind()
            for body in items:
                listed.add(name_of(body["metadata"]))
                self._tell(self._store.put(body, listed_at=version))
        metrics.INFORMER_RELISTS.labels(self.resource.plural).inc()
        self.lists += 1
        for delta in self._store.retain(listed, version, self._namespace):
            self._on_change(delta)
        self._listen()
        self._reach(version)
        self._due = time.monotonic() + self._relist * jitter(SOONEST, 1)
        self._serve(None)

    async def _unserved(self, error: OperatorError, looks: int) -> bool:
        """Forget what there was, say so once, and wait for the next look: until a CRD changes, or for a while that
        doubles with each look in vain, for a kind is served some moments after its CRD came. True for the former.
        """
        if self.unserved is None:
            log.warning("the kind is not served", resource=self.resource.plural, error=str(error))
        self._version = ""
        for delta in self._store.clear(self._namespace):
            self._on_change(delta)
        self._serve(error)
        wait = min(2.0**looks, UNSERVED_SECONDS) * jitter(0.8, 1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self.maybe_served.wait()
        return self.maybe_served.is_set()

    def _serve(self, unserved: OperatorError | None) -> None:
        changed = type(unserved) is not type(self.unserved)  # forbidden is another matter than not installed
        self.unserved = unserved
        self.synced.set()
        if changed:
            self.on_served()

    def _left(self) -> float:
        """Seconds until the next list is due."""
        return self._due - time.monotonic()

    async def _watch(self) -> None:
        seconds = min(WATCH_SECONDS, max(self._left(), 1.0))
        events = self._client.watch(
            self.resource, self._namespace, self._selector, self._version, seconds=seconds
        )
        async for event in events:
            self._listen()
            self._tell(self._take(event))
            self._reach(event.object["metadata"]["resourceVersion"])
        # The server ends a watch after its time. One that it ends at once must not become a busy loop.
        await asyncio.sleep(random.uniform(0, 0.1))  # noqa: S311 - jitter

    def _take(self, event: WatchEvent) -> Delta[T] | None:
        if event.type == "BOOKMARK":
            return None
        return self._store.remove(event.object) if event.type == "DELETED" else self._store.put(event.object)

    def _reach(self, version: str) -> None:
        """Everything up to this version is in the store."""
        self._version, self._newest = version, int(version)
        self._store.reached(self._newest, self._namespace)

    def _tell(self, delta: Delta[T] | None) -> None:
        if delta is not None:
            self._on_change(delta)

    def _listen(self) -> None:
        self._heard = time.monotonic()
        metrics.INFORMER_OBJECTS.labels(self.resource.plural).set(len(self._store))
