"""Carries out a plan. Failures are values: one child that cannot be written never keeps the others back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from productionservice import labels, metrics
from productionservice.children import Manifest
from productionservice.diff import drift
from productionservice.engine.answers import Conflict
from productionservice.engine.caches import RESOURCES, Caches
from productionservice.engine.client import Client
from productionservice.engine.mend import replace_lists
from productionservice.errors import OperatorError, Rejected
from productionservice.live import Live, applied_digest
from productionservice.plan import WRITES, Action, Applied, Change, Plan, Result

Resolve = Callable[[Change, Live], Change]
"""What to do with an object that turned up where one was to be created: the plan's own answer for it."""

for _kind in RESOURCES:  # there, at 0, before the first change: an increase from nothing would go unseen
    metrics.DRIFT.labels(_kind)
    for _action in sorted(WRITES):
        metrics.CHANGES.labels(_action.value, _kind)


async def apply_plan(
    plan: Plan, *, namespace: str, client: Client, caches: Caches, resolve: Resolve
) -> Applied:
    """Make the changes in their order. Nothing is deleted unless all before it succeeded."""
    applier = _Applier(namespace, client, caches, resolve)
    for change in plan.changes:
        await applier.make(change)
    return Applied(tuple(applier.results))


class _Applier:
    """One plan at work."""

    def __init__(self, namespace: str, client: Client, caches: Caches, resolve: Resolve) -> None:
        self._namespace, self._client, self._caches, self._resolve = namespace, client, caches, resolve
        self.results: list[Result] = []

    async def make(self, change: Change) -> None:
        """Make one change and keep its result."""
        held_back = self._held_back(change)
        if held_back:
            skipped = replace(change, action=Action.SKIPPED, cause=held_back)
            self.results.append(Result(skipped, self._observed(change)))
            return
        try:
            result = await self._write(change)
        except OperatorError as error:
            result = Result(change, self._observed(change), error)
        if result.error is None and result.change.action not in {Action.UNCHANGED, Action.SKIPPED}:
            metrics.CHANGES.labels(result.change.action.value, change.ref.kind).inc()
            if result.change.repairs:
                metrics.DRIFT.labels(change.ref.kind).inc()
        self.results.append(result)

    def _held_back(self, change: Change) -> str:
        """Why a change must not be made yet, empty when it may."""
        if change.action is Action.DELETED and any(result.failed for result in self.results):
            return "kept until every wanted child exists as wanted"
        follows = [result for result in self.results if result.change.ref == change.ref]
        return f"{change.ref} was not written" if follows and follows[-1].error else ""

    async def _write(self, change: Change) -> Result:
        match change.action:
            case Action.CREATED:
                return await self._create(change)
            case Action.CONFIGURED:
                return await self._configure(change)
            case Action.DELETED:
                return await self._delete(change)
            case Action.UNCHANGED | Action.SKIPPED:
                return Result(change, self._observed(change), change.error)

    async def _create(self, change: Change) -> Result:
        manifest = _wanted(change)
        resource = RESOURCES[change.ref.kind]
        try:
            body = await self._client.create(resource, manifest, manager=change.manager)
        except Conflict:
            # It exists: made by somebody else, or by us while our cache lags or after its label was taken away.
            body = await self._client.get(resource, self._namespace, change.ref.name)
            found = Live.of(change.ref.kind, body)
            resolved = self._resolve(change, found)
            if resolved.error is not None:
                return Result(resolved, found, resolved.error)
            self._take(resolved, body)
            return await self._write(resolved)
        return Result(change, self._take(change, body))

    async def _configure(self, change: Change) -> Result:
        uid = change.uid or self._uid_from_before(change)
        resource, manifest = RESOURCES[change.ref.kind], _wanted(change)
        mendable = uid is not None and change.manager == labels.FIELD_MANAGER and "spec" in manifest
        try:
            body = await self._client.apply(resource, manifest, manager=change.manager, uid=uid)
        except Rejected:
            if not mendable:
                raise
        else:
            as_wanted = self._as_wanted(change, body)
            live = self._take(change, body, as_wanted=as_wanted)
            if as_wanted or not mendable:
                return Result(change, live)
        await replace_lists(self._client, resource, manifest, uid=uid or "")
        body = await self._client.apply(resource, manifest, manager=change.manager, uid=uid)
        return Result(change, self._take(change, body))

    async def _delete(self, change: Change) -> Result:
        name = (self._namespace, change.ref.name)
        store = self._caches.children[change.ref.kind]
        version = store.version(name)
        await self._client.delete(RESOURCES[change.ref.kind], *name, uid=change.uid or "")
        store.discard(name, before=version)
        return Result(change, None)

    def _uid_from_before(self, change: Change) -> str | None:
        """The number of pods of a Deployment that this very plan has created."""
        written = [r.live for r in self.results if r.change.ref == change.ref and r.live is not None]
        return written[-1].uid if written else None

    def _take(self, change: Change, body: Manifest, *, as_wanted: bool | None = None) -> Live:
        """Put an answer into the cache, and return what is kept of it."""
        found = self._as_wanted(change, body) if as_wanted is None else as_wanted
        return self._caches.take(
            change.ref, body, verified=applied_digest(_wanted(change)) if found else None
        )

    def _as_wanted(self, change: Change, body: Manifest) -> bool:
        """True when the answer contains the whole manifest. The number of pods alone, without a digest, is not one."""
        manifest = _wanted(change)
        return bool(applied_digest(manifest)) and not drift(manifest, body)

    def _observed(self, change: Change) -> Live | None:
        return self._caches.children[change.ref.kind].get((self._namespace, change.ref.name))


def _wanted(change: Change) -> Manifest:
    if change.manifest is None:
        raise ValueError(f"{change.ref}: a change that writes has a manifest")
    return change.manifest
