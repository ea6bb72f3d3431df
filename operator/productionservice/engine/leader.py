"""Leader election by a Lease. Only workers depend on it: caches are warm on every replica."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from productionservice import metrics
from productionservice.engine.answers import NotFound
from productionservice.engine.client import Body, Resource
from productionservice.errors import OperatorError, Transient

log = structlog.get_logger(__name__)

LEASES = Resource("coordination.k8s.io/v1", "leases")
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, LOOK_SECONDS = 13, 9, 2, 0.5
"""A Lease that is not renewed for 13 s may be taken; its holder gives up after 9 s; it renews each 2 s, and others
look twice a second: whoever dies is replaced within 14 s. (client-go: 15, 10 and 2 s, and up to 19 s.)"""


def boot_time() -> float:
    """Seconds since boot, sleep included where the system tells: a machine that slept has lost its Lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Fenced(Transient):
    """This replica may no longer lead: the write was not sent."""


class LeaseClient(Protocol):
    """What the election needs of the client."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body: ...
    async def post(self, resource: Resource, namespace: str, body: Body) -> Body: ...
    async def put(self, resource: Resource, namespace: str, body: Body) -> Body: ...


@dataclass
class _Seen:
    """The Lease as it was seen last, and when by our own monotonic clock: clocks of machines differ."""

    record: tuple[Any, ...] = ()
    at: float = 0.0


class LeaderElector:
    """One candidate. `run()` leads as long as it can and then returns; `leading` is set meanwhile."""

    def __init__(
        self, client: LeaseClient, *, namespace: str, name: str, identity: str,
        clock: Callable[[], float] = boot_time, sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._client, self._namespace, self._name, self._identity = client, namespace, name, identity
        self._clock, self._sleep = clock, sleep
        self._seen = _Seen()
        self._renewed = 0.0
        self.leading = asyncio.Event()
        metrics.LEADER.labels(name).set(0)

    async def run(self) -> None:
        """Lead as long as possible. Returns when the Lease is lost: the caller must stop writing at once."""
        while not await self._try():
            await self._sleep(self._until_next_look())
        log.info("leading", lease=self._name, identity=self._identity)
        self.leading.set()
        metrics.LEADER.labels(self._name).set(1)
        try:
            await self._hold()
        finally:
            self.leading.clear()
            metrics.LEADER.labels(self._name).set(0)
        log.error("the Lease is lost: another replica leads", lease=self._name)

    def _until_next_look(self) -> float:
        """At the very moment at which the Lease may be taken, if that is soon."""
        look = LOOK_SECONDS * random.uniform(1, 1.2)  # noqa: S311 - jitter
        left = self._seen.at + LEASE_SECONDS - self._clock()
        return min(look, left + 0.02) if left > 0 else look

    def fence(self) -> None:
        """Raises Fenced unless the Lease was renewed lately. A process that was stopped and goes on asks this before
        it writes, and before it knows that another one leads: whoever took the Lease waited for LEASE_SECONDS.
        """
        silent = self._clock() - self._renewed
        if silent >= RENEW_SECONDS:
            raise Fenced(f"the Lease was renewed {silent:.0f} s ago: not writing")

    async def release(self) -> None:
        """Hand the Lease over now, so that nobody waits for it to expire. A failure only costs that time."""
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._client.put(LEASES, self._namespace, {**lease, "spec": spec})
        except OperatorError as error:
            log.warning("the Lease could not be released: it expires by itself", error=str(error))

    async def _hold(self) -> None:
        """Renew until that has failed for RENEW_SECONDS or somebody else holds the Lease."""
        while True:
            await self._sleep(RETRY_SECONDS)
            left = self._renewed + RENEW_SECONDS - self._clock()
            try:
                # A renewal that hangs must not outlive the Lease.
                async with asyncio.timeout(max(left, 0)):
                    await self._try()
            except TimeoutError:
                return
            held_by_other = self._seen.record and self._seen.record[0] != self._identity
            if held_by_other or self._clock() - self._renewed >= RENEW_SECONDS:
                return

    async def _try(self) -> bool:
        """One attempt to take or renew the Lease. True when it is ours now."""
        started = self._clock()
        try:
            await self._write()
        except OperatorError as error:
            log.warning("the Lease could not be written", lease=self._name, error=str(error))
            return False
        if self._seen.record[0] != self._identity:
            return False
        self._renewed = started  # from before the request: the server counts from when it got it
        return True

    async def _write(self) -> None:
        """Take or renew the Lease if it is free, expired or ours; else only look at it."""
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            lease = None
        if lease is None:
            self._look(await self._client.post(LEASES, self._namespace, self._mine({}, {}, transitions=0)))
            return
        self._look(lease)
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        expired = self._clock() - self._seen.at >= (spec.get("leaseDurationSeconds") or LEASE_SECONDS)
        if holder not in {"", self._identity} and not expired:
            return
        transitions = (spec.get("leaseTransitions") or 0) + (holder != self._identity)
        mine = self._mine(lease["metadata"], spec, transitions=transitions)
        self._look(await self._client.put(LEASES, self._namespace, mine))

    def _look(self, lease: Body) -> None:
        spec = lease["spec"]
        record = (spec.get("holderIdentity") or "", spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen.record:
            self._seen = _Seen(record, self._clock())

    def _mine(self, metadata: Body, spec: Body, *, transitions: int) -> Body:
        now = _now()
        ours = spec.get("holderIdentity") == self._identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {**metadata, "name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }


def _now() -> str:
    """Kubernetes' MicroTime; for people only, decisions use the monotonic clock."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
