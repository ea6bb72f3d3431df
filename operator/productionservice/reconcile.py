"""The path that every ProductionService takes: from its spec and the observed world to its children and status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from productionservice import labels
from productionservice.api import ProductionService, parse_stored
from productionservice.children import BuildContext, Manifest, build_children
from productionservice.children.exposure import has_several_ways, may_fall_back, offered
from productionservice.children.references import CALLEE, Missing, callees, missing, references, restart_mark
from productionservice.effective import Effective, compute_effective
from productionservice.engine.answers import NotFound
from productionservice.engine.apply import apply_plan
from productionservice.engine.caches import PARENTS, Caches
from productionservice.engine.client import Body, Client
from productionservice.engine.events import Recorder, notes, readiness_notes
from productionservice.engine.parent import Parent
from productionservice.engine.queue import Key
from productionservice.errors import InvalidSpec, OperatorError, Permanent, Transient, Waiting
from productionservice.live import Live
from productionservice.pause import Pause, read_pause
from productionservice.plan import (
    DEPLOYMENT,
    WRITES,
    Applied,
    Change,
    Observed,
    Plan,
    is_moving,
    left_behind,
    make_plan,
    ref_of,
)
from productionservice.status import compute_status, invalid_status
from productionservice.status.conditions import PAUSED

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 30.0
"""When to look again at what only somebody's edit can mend: no event tells us about other people's objects."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of one service."""

    service: ProductionService
    effective: Effective
    desired: tuple[Manifest, ...]
    missing: tuple[Missing, ...] | None
    """What the spec refers to and is not there; None where the operator may not look."""
    pause: Pause | None
    context: BuildContext
    """With what the children were made."""

    @property
    def held(self) -> dict[str, OperatorError]:
        """Kinds that must not be written now: no pod is rolled out that could not start."""
        if not self.missing:
            return {}
        text = "; ".join(found.text for found in self.missing)
        return {DEPLOYMENT: Waiting(f"is left as it is until everything is there: {text}", seconds=None)}

    @property
    def paused(self) -> str:
        """Why nothing is written, empty when there is no pause."""
        return "paused" if self.pause is not None and self.pause.active else ""


_MOVING_SECONDS = 3.0
"""How soon to look again at a service on its way from one edge to another. In memory: no call comes of it."""


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
            self._caches.refer(key, ())
            return None  # the garbage collector takes the children
        seen = self._caches.snapshot(key, parent.uid)
        if self._settled.get(key) == seen:
            return None
        bind_contextvars(generation=parent.generation)
        body = parent.body
        try:
            wish = self._read(body, parent)
        except InvalidSpec as error:
            before = body.get("status") or {}
            after = invalid_status(
                generation=parent.generation, error=error, previous=before, now=self._now()
            )
            await self._write_status(body, after)
            self._tell(readiness_notes(body, before, after))
            return None
        applied, wrote = await self._fulfil(wish, body)
        again = self._next_look(wish, applied)
        if applied.clean and not wrote and again is None:
            self._settled[key] = seen
        return again

    def _read(self, body: Body, parent: Parent) -> Wish:
        """What is wanted, given what the spec refers to. Raises InvalidSpec."""
        service = parse_stored(body)
        effective = compute_effective(service.spec)
        key = (service.metadata.namespace, service.metadata.name)
        sources = {reference.source for reference in references(service.spec)}
        self._caches.refer(key, sources | {(CALLEE, name) for name in callees(service.spec)})
        contents = self._caches.contents_of(key[0], sources)
        mark = self._caches.restart_mark(key)
        if contents is not None:  # else the pods must not restart because nobody may look
            marks = {source: found.mark for source, found in contents.items()}
            again = {source: found.again for source, found in contents.items()}
            mark = restart_mark(service.spec, marks, again=again, live=mark)
        taken, absent = self._caches.taken(key), self._caches.absent(key[0])
        context = replace(self._context, restart_mark=mark, taken=taken, absent=absent)
        context, desired = self._build(service, effective, context)
        return Wish(
            service=service,
            effective=effective,
            desired=desired,
            missing=None
            if contents is None
            else missing(service.spec, {s: c.keys for s, c in contents.items()}),
            pause=read_pause(parent.paused, since=_paused_since(body), now=self._now()),
            context=context,
        )

    def _build(
        self, service: ProductionService, effective: Effective, context: BuildContext
    ) -> tuple[BuildContext, tuple[Manifest, ...]]:
        """The wanted children, and with what they were made: what led to the service stays until what follows does."""
        desired = build_children(service, effective, context)
        if not has_several_ways(service, context):
            return context, desired
        observed = self._caches.observe(service, desired)
        left = left_behind(desired, observed, self._now())
        moving = may_fall_back(service, context) and is_moving(desired, observed, self._now())
        leaving = tuple({str(each): each for each in offered(context) if str(each) in left}.values())
        if moving or leaving:
            context = replace(context, moving=moving, leaving=leaving)
            desired = build_children(service, effective, context)
        return context, desired

    async def _fulfil(self, wish: Wish, body: Body) -> tuple[Applied, bool]:
        """Make the world what is wanted, and say what came of it. True when anything was written."""
        service, before = wish.service, body.get("status") or {}
        plan, applied = await self._apply(wish)
        after = compute_status(
            service=service, effective=wish.effective, applied=applied, previous=before, now=self._now(),
            pods=self._caches.pods_of((service.metadata.namespace, service.metadata.name)),
            missing=wish.missing, pause=wish.pause,
            admitted=self._caches.admitted(service.metadata.namespace, callees(service.spec)),
            context=wish.context,
        )  # fmt: skip
        log_changes(applied)
        wrote = await self._write_status(body, after)
        self._tell(notes(body, applied, before, after))
        return applied, wrote or bool(plan.writes)

    async def _apply(self, wish: Wish) -> tuple[Plan, Applied]:
        """Plan against what is observed, and carry it out."""
        service, effective = wish.service, wish.effective
        observed = self._caches.observe(service, wish.desired)
        plan = make_plan(service, effective, wish.desired, observed, held=wish.held, paused=wish.paused)
        if any(_disowned(change, observed) for change in plan.writes):
            await self._still_wanted(service, observed.owner_uid)
        namespace = service.metadata.namespace
        self._caches.verify(namespace, plan)

        def resolve(change: Change, found: Live) -> Change:
            """What the plan would have said, had it known of `found`."""
            known = Observed(observed.owner_uid, {change.ref: found}, synced=False)
            wanted = [manifest for manifest in wish.desired if ref_of(manifest) == change.ref]
            return make_plan(service, effective, wanted, known).changes[0]

        applied = await apply_plan(
            plan, namespace=namespace, client=self._client, caches=self._caches, resolve=resolve
        )
        return plan, applied

    async def _still_wanted(self, service: ProductionService, uid: str) -> None:
        """Ask the API server itself. Raises Transient when the service leaves: the events of its children, from which
        `--cascade=orphan` takes the owner, may come before its own, and with the owner back they would be deleted.
        """
        name = service.metadata.name
        found = await self._client.find(PARENTS, service.metadata.namespace, name)
        metadata = found["metadata"] if found else {}
        if metadata.get("uid") != uid or "deletionTimestamp" in metadata:
            raise Transient(f"{name} is being deleted: its children are left as they are")

    def _next_look(self, wish: Wish, applied: Applied) -> float | None:
        """From what failed, from the end of a pause, and while the edge gets its time: none of them is an event."""
        looks = [again] if (again := next_look(applied)) is not None else []
        if wish.paused and wish.pause is not None:
            looks.append(max((wish.pause.until - self._now()).total_seconds(), 0.0))
        if wish.context.moving or wish.context.leaving:
            looks.append(_MOVING_SECONDS)
        return min(looks, default=None)

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
        self._caches.parents.renew(written)
        return True

    def _tell(self, told: list[Any]) -> None:
        for note in told:
            self._recorder.tell(note)


def _paused_since(body: Body) -> datetime | None:
    """When the pause was first seen, None when there was none yet."""
    conditions = (body.get("status") or {}).get("conditions") or []
    found = next((c for c in conditions if c.get("type") == PAUSED and c.get("status") == "True"), None)
    return datetime.fromisoformat(found["lastTransitionTime"]) if found else None


def _disowned(change: Change, observed: Observed) -> bool:
    """True for a write to an object that is there and has no owner: mended, or adopted."""
    found = observed.objects.get(change.ref)
    return found is not None and found.owner is None


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


def log_changes(applied: Applied) -> None:
    """One line for what was written, one a failure; nothing for a pass without any."""
    for result in applied.results:
        # Of a kind that is not served the reflector has said so, once.
        if result.failed:
            ref = result.change.ref
            log.warning("not written", kind=ref.kind, child=ref.name, error=str(result.error))
    made = [
        result.change for result in applied.results if result.error is None and result.change.action in WRITES
    ]
    if made:
        changes = [f"{change.action.value} {change.ref} ({change.cause})" for change in made]
        log.info("children changed", changes=changes)
