"""From what is wanted and what was observed to an ordered list of changes. Decides; does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from productionservice import labels
from productionservice.api import KIND, ProductionService
from productionservice.children import APPLY_ORDER, Manifest, desired_replicas, replicas_manifest
from productionservice.effective import Effective
from productionservice.errors import NotOwned, OperatorError, Unserved, Waiting
from productionservice.live import TAKEN_UP, DeploymentState, EdgeState, Live, applied_digest, gateways_of

__all__ = ["Action", "Applied", "Change", "Live", "Observed", "Plan", "Ref", "Result", "make_plan"]

DEPLOYMENT = "Deployment"
_DRIFT = "drift: "
SHOWN = 3
"""Differences that a cause names; it ends up in an Event, which holds 1024 characters."""


class Action(StrEnum):
    """What happens to one object. Logs, events, metrics and the CLI use these words and no others."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    SKIPPED = "skipped"
    """Somebody else's object, or one that is on its way out: never touched."""


WRITES = frozenset({Action.CREATED, Action.CONFIGURED, Action.DELETED})
"""Actions that call the API server."""


@dataclass(frozen=True)
class Ref:
    """One child within a namespace. A kind is unique among the children, so it needs no API version."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Observed:
    """The children's kinds as the informers saw them, for one ProductionService."""

    owner_uid: str
    """UID of the ProductionService."""
    objects: Mapping[Ref, Live]
    """Every object that has the name of a wanted child, our label, or our UID as its controller."""
    synced: bool
    """True when every informer has listed at least once. Nothing is deleted before."""
    unserved: Mapping[str, Unserved] = field(default_factory=dict)
    """Kinds that the cluster does not serve, or not to us, and why."""


@dataclass(frozen=True)
class Change:
    """One step of a plan."""

    action: Action
    ref: Ref
    manifest: Manifest | None
    """What is wanted; None for a deletion."""
    manager: str = labels.FIELD_MANAGER
    """Field manager that writes it."""
    uid: str | None = None
    """The write or deletion is meant for this object only; None when the object does not exist yet."""
    cause: str = ""
    """For people: why this change."""
    error: OperatorError | None = None
    """Why it is skipped; goes into the Result as it is. None for every other action."""

    @property
    def repairs(self) -> bool:
        """True when somebody else has changed what the operator had written."""
        return self.cause.startswith(_DRIFT)


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they are to be made; deletions come last."""

    changes: tuple[Change, ...]

    @property
    def writes(self) -> tuple[Change, ...]:
        """The changes that call the API server."""
        return tuple(c for c in self.changes if c.action in WRITES)


@dataclass(frozen=True)
class Result:
    """What became of one change."""

    change: Change
    live: Live | None
    """The object as the API server answered; as observed if nothing was written; None if there is none."""
    error: OperatorError | None = None

    @property
    def failed(self) -> bool:
        """True when the child could exist and does not, or not as wanted."""
        return self.error is not None and not isinstance(self.error, Unserved)


@dataclass(frozen=True)
class Applied:
    """What became of a plan."""

    results: tuple[Result, ...]

    @property
    def clean(self) -> bool:
        """True when nothing failed and nothing was skipped: only then may anything be pruned.

        A kind that the cluster does not serve is no failure: nothing of what may be pruned is replaced by it.
        """
        return not any(result.failed for result in self.results)


def make_plan(
    service: ProductionService, effective: Effective, desired: Sequence[Manifest], observed: Observed,
    *, held: Mapping[str, OperatorError] | None = None, paused: str = "",
) -> Plan:  # fmt: skip
    """Compare `desired` (in apply order) with `observed`.

    The number of pods is a change of its own, by its own field manager, after the Deployment's (ADR 0004).
    `held` has kinds that must not be written now, and why. With `paused` nothing is written; it says why.
    """
    changes: list[Change] = []
    for manifest in desired:
        change = _hold(_change(service, manifest, observed), held or {})
        changes.append(change)
        if change.ref.kind == DEPLOYMENT and change.action is not Action.SKIPPED:
            changes.extend(_replicas_change(service, effective, change, observed))
    plan = (*changes, *_deletions(changes, observed))
    return Plan(tuple(_pause(change, paused) for change in plan) if paused else plan)


EDGE_SECONDS = 10.0
"""An edge says that it has taken up a route before all of it leads there: Traefik gathers changes for two seconds first
(`providersThrottleDuration`), and a busy one took longer. What led to the service until then stays so much longer."""


def is_moving(desired: Sequence[Manifest], observed: Observed, now: datetime) -> bool:
    """True while an Ingress is there that is no longer wanted, and a wanted route has not been taken up for long."""
    routes = [manifest for manifest in desired if manifest["kind"] in TAKEN_UP]
    wanted = {ref_of(manifest) for manifest in desired}
    left = [
        ref
        for ref, live in observed.objects.items()
        if ref.kind == "Ingress" and ref not in wanted and _controls(observed, live) and not live.deleting
    ]
    return bool(left and routes) and not all(_is_taken_up(manifest, observed, now) for manifest in routes)


def left_behind(desired: Sequence[Manifest], observed: Observed, now: datetime) -> frozenset[str]:
    """Gateways, as namespace/name, that a route still names and is to leave, while one that it is to join has not
    taken it up for long.
    """
    found: set[str] = set()
    for manifest in desired:
        live = observed.objects.get(ref_of(manifest))
        if manifest["kind"] != "HTTPRoute" or live is None or not isinstance(live.state, EdgeState):
            continue
        wanted = set(gateways_of(manifest))
        leading = {gateway for gateway, since in live.state.taken_up_by if _has_settled(since, now)}
        if _controls(observed, live) and not wanted <= leading:
            found |= set(live.state.joined) - wanted
    return frozenset(found)


def _is_taken_up(manifest: Manifest, observed: Observed, now: datetime) -> bool:
    ref = ref_of(manifest)
    live = observed.objects.get(ref)
    if live is None or live.digest != applied_digest(manifest) or not isinstance(live.state, EdgeState):
        return False
    said = [live.state.find(type_) for type_ in TAKEN_UP[ref.kind]]
    return all(each is not None and each.status == "True" and _has_settled(each.since, now) for each in said)


def _has_settled(since: str, now: datetime) -> bool:
    """True where nobody says since when, too: nothing would ever end the wait."""
    return not since or (now - datetime.fromisoformat(since)).total_seconds() >= EDGE_SECONDS


def _hold(change: Change, held: Mapping[str, OperatorError]) -> Change:
    error = held.get(change.ref.kind)
    if error is None or change.action not in WRITES:
        return change
    return replace(change, action=Action.SKIPPED, cause=str(error), error=error)


def _pause(change: Change, why: str) -> Change:
    """A change that has to wait; who paused does not want to hear of it as of an error."""
    return replace(change, action=Action.SKIPPED, cause=why) if change.action in WRITES else change


def ref_of(manifest: Mapping[str, Any]) -> Ref:
    """Ref of an object in JSON form."""
    return Ref(manifest["kind"], manifest["metadata"]["name"])


def _change(service: ProductionService, manifest: Manifest, observed: Observed) -> Change:
    ref = ref_of(manifest)
    unserved = observed.unserved.get(ref.kind)
    if unserved is not None:
        return Change(Action.SKIPPED, ref, manifest, cause=str(unserved), error=unserved)
    live = observed.objects.get(ref)
    if live is None:
        return Change(Action.CREATED, ref, manifest, cause="absent")
    error = _obstacle(service, manifest, live, observed)
    if error is not None:
        return Change(Action.SKIPPED, ref, manifest, uid=live.uid, cause=str(error), error=error)
    cause = _cause(manifest, live)
    return Change(Action.CONFIGURED if cause else Action.UNCHANGED, ref, manifest, uid=live.uid, cause=cause)


def _obstacle(
    service: ProductionService, manifest: Manifest, live: Live, observed: Observed
) -> OperatorError | None:
    """Why the object must not be written to, None when it is ours to write."""
    ref = ref_of(manifest)
    if _is_ours(service, manifest, live, observed):
        return (
            Waiting(f"{ref} is being deleted; it is made again when it is gone", seconds=5)
            if live.deleting
            else None
        )
    owner, name = live.owner, service.metadata.name
    if owner is None:
        return NotOwned(
            f"{ref} exists and was not made by the operator: rename or delete one of the two, or hand it over with "
            f"`kubectl annotate {ref.kind.lower()} {ref.name} {labels.ADOPT}={name}`"
        )
    if owner.kind == KIND and owner.name == name:
        return Waiting(
            f"{ref} belongs to a deleted {KIND} of the same name; it is made again when it is gone", seconds=5
        )
    return NotOwned(f"{ref} belongs to {owner.kind} {owner.name}: rename or delete one of the two")


def _is_ours(service: ProductionService, manifest: Manifest, live: Live, observed: Observed) -> bool:
    """Controlled by the service, or by nobody and either made for it or handed over to it.

    Only the operator writes the digest; with the label it marks an object whose owner reference was taken away. The
    digest of the very manifest that is wanted says so without the label too: the owner's UID is part of it.
    Who may annotate an object may also delete it: handing it over gives nobody a right that they had not.
    """
    name = service.metadata.name
    if live.owner is not None:
        return _controls(observed, live)
    made_here = live.digest is not None and (live.service == name or live.digest == applied_digest(manifest))
    return live.adopt == name or made_here


def _cause(manifest: Manifest, live: Live) -> str:
    """Why the object has to be written, empty when it is as wanted."""
    if live.digest not in (None, applied_digest(manifest)):
        return "spec changed"
    differences = live.differences(manifest)
    more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    return f"{_DRIFT}{'; '.join(differences[:SHOWN])}{more}" if differences else ""


def _replicas_change(
    service: ProductionService, effective: Effective, deployment: Change, observed: Observed
) -> Iterable[Change]:
    """The number of pods, when it is not what the API server has (or is about to default to)."""
    live = observed.objects.get(deployment.ref)
    count = live.state.desired if live and isinstance(live.state, DeploymentState) else None
    wanted = desired_replicas(effective, count)
    if wanted == (1 if count is None else count):
        return ()
    cause = f"replicas: wanted {wanted}, found {count}" if live else f"replicas: wanted {wanted}"
    manifest = replicas_manifest(service, wanted)
    return (
        Change(Action.CONFIGURED, deployment.ref, manifest, labels.REPLICAS_MANAGER, deployment.uid, cause),
    )  # fmt: skip


def _controls(observed: Observed, live: Live) -> bool:
    return live.owner is not None and live.owner.uid == observed.owner_uid


def _deletions(changes: Sequence[Change], observed: Observed) -> Iterable[Change]:
    """Owned but not wanted, in reverse apply order: what uses something goes before what it uses."""
    if not observed.synced:
        return ()
    wanted = {change.ref for change in changes}
    surplus = [
        (ref, live)
        for ref, live in observed.objects.items()
        if ref not in wanted and _controls(observed, live) and not live.deleting
    ]
    surplus.sort(key=lambda item: (-APPLY_ORDER.get(item[0].kind, len(APPLY_ORDER)), item[0].name))
    return [
        Change(Action.DELETED, ref, None, uid=live.uid, cause="no longer wanted by the spec")
        for ref, live in surplus
    ]
