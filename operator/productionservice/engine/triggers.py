"""From what happened to whom to look at: every event becomes a key in the queue, and nothing else."""

from __future__ import annotations

from typing import Any

from productionservice.children.references import CALLEE
from productionservice.engine.caches import Caches
from productionservice.engine.client import Body
from productionservice.engine.contents import Contents
from productionservice.engine.parent import Parent
from productionservice.engine.queue import AsyncQueue, Lane
from productionservice.engine.store import Delta
from productionservice.live import Live

POD_DEBOUNCE_SECONDS = 0.1
"""A rollout changes many pods many times within moments: one pass sees them all."""


class Triggers:
    """Before `warm`, everything is news only because we have just started: no pass has begun, and each service is in
    the low lane by itself.
    """

    def __init__(self, caches: Caches, queue: AsyncQueue) -> None:
        self._caches, self._queue = caches, queue
        self.warm = False

    def parent_event(self, kind: str | None, body: Body) -> None:
        """An event of the ProductionService stream; `kind` is None for objects of a list."""
        parents = self._caches.parents
        delta = parents.remove(body) if kind == "DELETED" else parents.put(body)
        if delta is not None:
            self.parent(delta)

    def parent(self, delta: Delta[Parent]) -> None:
        """A service is new, changed or gone. Another wish is urgent, our own status is not.

        Whoever calls it wants to know whether it is there and lets them in.
        """
        old, new = (entry.value.wish if entry else None for entry in (delta.old, delta.new))
        self._queue.add(delta.name, self._lane(routine=old == new), trigger="service")
        self._hand_over(delta)
        before, after = (entry.value.admits if entry else None for entry in (delta.old, delta.new))
        if before != after:
            for key in self._caches.referring(CALLEE, delta.name):
                self._queue.add(key, self._lane(), trigger="reference")

    def _hand_over(self, delta: Delta[Parent]) -> None:
        """Whoever else claims a host that this service has begun or ceased to claim: who has it may have changed."""
        old, new = (entry.value.claims if entry else frozenset() for entry in (delta.old, delta.new))
        for host in sorted({host for host, _ in old ^ new}):
            for key in self._caches.claimants(host):
                if key != delta.name:
                    self._queue.add(key, self._lane(), trigger="host")

    def child(self, delta: Delta[Live]) -> None:
        """A child is new, changed or gone. Not every word in its status concerns us."""
        if not self.warm:
            return
        if delta.old is None or delta.new is None or not delta.new.value.same_as(delta.old.value):
            self._wake(delta, "child", 0.0)

    def pod(self, delta: Delta[Any]) -> None:
        """A pod is new, changed or gone. Most changes of a pod do not concern us."""
        if not self.warm:
            return
        if delta.old is None or delta.new is None or delta.old.value != delta.new.value:
            self._wake(delta, "pod", POD_DEBOUNCE_SECONDS)

    def contents(self, kind: str, delta: Delta[Contents]) -> None:
        """A Secret or ConfigMap is new, changed or gone: services that refer to it want to know."""
        if delta.old is None or delta.new is None or delta.old.value != delta.new.value:
            for key in self._caches.referring(kind, delta.name):
                self._queue.add(key, self._lane(), trigger="reference")

    def resync(self) -> None:
        """Look at everything, when there is nothing better to do."""
        for key in self._caches.parents.names():
            self._queue.add(key, Lane.RESYNC, trigger="resync")

    def _wake(self, delta: Delta[Any], trigger: str, delay: float) -> None:
        for group in delta.groups:
            keys = [group[1:]] if group[0] == "service" else self._caches.parent_of(group[1])
            for namespace, name in keys:
                if self._caches.parents.get((namespace, name)) is not None:
                    self._queue.add((namespace, name), self._lane(), delay=delay, trigger=trigger)

    def _lane(self, *, routine: bool = False) -> Lane:
        return Lane.RESYNC if routine or not self.warm else Lane.EDIT
