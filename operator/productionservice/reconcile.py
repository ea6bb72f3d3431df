"""The path that every ProductionService takes: from its spec and the observed world to its children and status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from productionservice import labels
from productionservice.api import ProductionService, parse
from productionservice.children import BuildContext, Manifest, build_children
from productionservice.effective import Effective, compute_effective
from productionservice.engine.answers import NotFound
from productionservice.engine.apply import apply_plan
from productionservice.engine.caches import PARENTS, Caches
from productionservice.engine.client import Body, Client
from productionservice.engine.events import Recorder, notes, readiness_notes
from productionservice.engine.queue import Key
from productionservice.errors import InvalidSpec, Permanent, Transient, Waiting
from productionservice.live import Live
from productionservice.plan import Applied, Change, Observed, Plan, make_plan, ref_of
from productionservice.status import compute_status, invalid_status

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 30.0
"""When to look again at what only somebody's edit can mend: no event tells us about other people's objects."""


class Reconciler:
    """One pass over one service. Level-triggered: it never asks what happened, only what is."""

    def __init__(
        self, client: Client, caches: Caches, recorder: Recorder, context: BuildContext,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._client, self._caches, self._recorder = client, caches, recorder
        self._context, self._now = context, now
        self._settled: dict[Key, int] = {}
        """The world as a pass saw it that had nothing to do: while it is the same, there is nothing to do."""

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look, None when an event will say so. Raises Transient."""
        parent = self._caches.parents.get(key)
        if parent is None or parent.leaving:
            self._settled.pop(key, None)
            return None  # the garbage collector takes the children
        seen = self._caches.snapshot(key, parent.uid)
        if self._settled.get(key) == seen:
            return None
        body = parent.body
        before: dict[str, Any] = body.get("status") or {}
        try:
            service = parse(body)
            effective = compute_effective(service.spec)
        except InvalidSpec as error:
            after = invalid_status(
                generation=parent.generation, error=error, previous=before, now=self._now()
            )
            await self._write_status(body, after)
            self._tell(readiness_notes(body, before, after))
            return None
        desired = build_children(service, effective, self._context)
        plan, applied = await self._apply(service, effective, desired)
        after = compute_status(
            service=service, effective=effective, applied=applied, pods=self._caches.pods_of(key), previous=before,
            now=self._now(),
        )  # fmt: skip
        log_changes(applied, service.metadata.generation)
        wrote = await self._write_status(body, after)
        self._tell(notes(body, applied, before, after))
        if applied.clean and not plan.writes and not wrote:
            self._settled[key] = seen
        return next_look(applied)

    async def _apply(
        self, service: ProductionService, effective: Effective, desired: Sequence[Manifest]
    ) -> tuple[Plan, Applied]:
        """Plan against what is observed, and carry it out."""
        observed = self._caches.observe(service, desired)
        plan = make_plan(service, effective, desired, observed)
        namespace = service.metadata.namespace
        self._caches.verify(namespace, plan)

        def resolve(change: Change, found: Live) -> Change:
            """What the plan would have said, had it known of `found`."""
            known = Observed(observed.owner_uid, {change.ref: found}, synced=False)
            wanted = [manifest for manifest in desired if ref_of(manifest) == change.ref]
            return make_plan(service, effective, wanted, known).changes[0]

        applied = await apply_plan(
            plan, namespace=namespace, client=self._client, caches=self._caches, resolve=resolve
        )
        return plan, applied

    async def _write_status(self, body: Body, status: dict[str, Any]) -> bool:
        """At most one write, and only for the very state that the pass has seen: a late result marks nothing newer.

        True when it was written.
        """
        if status == (body.get("status") or {}):
            return False
        metadata = body["metadata"]
        manifest = {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "status": status,
        }
        try:
            written = await self._client.apply(
                PARENTS, manifest, manager=labels.STATUS_MANAGER, subresource="status",
                uid=metadata["uid"], version=metadata["resourceVersion"],
            )  # fmt: skip
        except NotFound:
            # Deleted while no event told us so.
            key = (metadata["namespace"], metadata["name"])
            self._caches.parents.discard(key, before=int(metadata["resourceVersion"]))
            return True
        self._caches.parents.put(written)
        return True

    def _tell(self, told: list[Any]) -> None:
        for note in told:
            self._recorder.tell(note)


def next_look(applied: Applied) -> float | None:
    """When to look again, from what failed. Raises Transient when something has to be tried again."""
    errors = [result.error for result in applied.results if result.error is not None]
    transient = [error for error in errors if isinstance(error, Transient)]
    if transient:
        retry_after = max((error.retry_after or 0.0 for error in transient), default=0.0)
        raise Transient("; ".join(map(str, transient)), retry_after=retry_after)
    waiting = [error.seconds for error in errors if isinstance(error, Waiting) and error.seconds is not None]
    permanent = [LOOK_AGAIN_SECONDS for error in errors if isinstance(error, Permanent)]
    return min((*waiting, *permanent), default=None)


def log_changes(applied: Applied, generation: int) -> None:
    """One line a change; nothing for a pass without any."""
    for result in applied.results:
        change = result.change
        if result.error is not None:
            log.warning("not written", kind=change.ref.kind, child=change.ref.name, error=str(result.error))
        elif change.manifest is None or change.action.value in {"created", "configured"}:
            log.info(
                change.action.value, kind=change.ref.kind, child=change.ref.name, cause=change.cause,
                generation=generation,
            )  # fmt: skip
