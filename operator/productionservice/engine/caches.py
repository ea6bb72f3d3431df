"""What the operator knows of the world, in memory: services, their children, their pods."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from productionservice import labels
from productionservice.api import API_VERSION, PLURAL, ProductionService
from productionservice.children import CHILDREN, Kind, Manifest
from productionservice.children.references import CALLEE, Source
from productionservice.engine.client import Resource
from productionservice.engine.contents import SOURCES, Contents
from productionservice.engine.parent import Parent, hosts_of
from productionservice.engine.queue import Key
from productionservice.engine.store import Group, Name, Store, name_of
from productionservice.errors import OperatorError, Rejected, Unserved
from productionservice.live import DeploymentState, Live, applied_digest, owner_of
from productionservice.plan import DEPLOYMENT, Action, Observed, Plan, Ref, ref_of
from productionservice.status.pods import PodState, pod_state

PARENTS = Resource(API_VERSION, PLURAL)
PODS = Resource("v1", "pods")
KINDS: Mapping[str, Kind] = {kind.kind: kind for kind, _ in CHILDREN}
RESOURCES: Mapping[str, Resource] = {
    name: Resource(kind.api_version, kind.plural) for name, kind in KINDS.items()
}
"""URLs of each kind of child."""
CHILD_SELECTOR = labels.SERVICE
"""Objects with this label, whatever its value."""
POD_SELECTOR = f"{labels.SERVICE},{labels.COMPONENT}={labels.WEB}"
"""The serving pods only, not those of jobs."""


class Caches:
    """All stores. Reflectors fill them, and so do the answers to our own writes: we always read what we wrote."""

    def __init__(self) -> None:
        self.parents: Store[Parent] = Store(Parent.of, _uid_and_hosts)
        self.children: dict[str, Store[Live]] = {
            kind: Store(functools.partial(Live.of, kind), child_groups) for kind in RESOURCES
        }
        self.pods: Store[PodState] = Store(_pod_state, child_groups)
        self.contents: dict[str, Store[Contents]] = {kind: Store(Contents.of) for kind in SOURCES}
        self.unpacked = 0
        """How often the content of an object did not have to be kept any longer."""
        self._unserved: dict[tuple[str, str | None], Unserved] = {}
        self._sources: dict[Key, tuple[Source, ...]] = {}
        self._referring: dict[tuple[str, Name], set[Key]] = {}

    def refer(self, key: Key, sources: Collection[Source]) -> None:
        """Note which Secrets, ConfigMaps and other services it refers to: it wants to know when they change."""
        new = tuple(sorted(set(sources)))
        old = self._sources.get(key, ())
        if new == old:
            return
        for kind, name in old:
            group = (kind, (key[0], name))
            self._referring[group].discard(key)
            if not self._referring[group]:
                del self._referring[group]  # names come and go for ever
        for kind, name in new:
            self._referring.setdefault((kind, (key[0], name)), set()).add(key)
        if new:
            self._sources[key] = new
        else:
            del self._sources[key]

    def referring(self, kind: str, name: Name) -> list[Key]:
        """The services that refer to a Secret, a ConfigMap or another service."""
        return sorted(self._referring.get((kind, name), ()))

    def admitted(self, namespace: str, callees: Collection[str]) -> dict[str, tuple[str, ...] | None]:
        """Whom each of these services lets in, by name; None for one that does not exist."""
        found = {name: self.parents.get((namespace, name)) for name in callees}
        return {name: parent.admits if parent else None for name, parent in found.items()}

    def claimants(self, host: str) -> list[Key]:
        """The services that claim a host, the one that has it first: the oldest, then by namespace and name.

        One that is being deleted has it until it is gone: its routes are still there.
        """
        found = self.parents.members(("host", host))
        return [key for _, key in sorted((dict(parent.claims)[host], key) for key, parent in found)]

    def taken(self, key: Key) -> dict[str, str]:
        """Of the hosts that a service claims, those that another one has, and which one, as namespace/name."""
        parent = self.parents.get(key)
        claimed = sorted(dict(parent.claims)) if parent else ()
        holders = {host: self.claimants(host)[0] for host in claimed}
        return {host: "/".join(holder) for host, holder in holders.items() if holder != key}

    def contents_of(self, namespace: str, sources: Collection[Source]) -> dict[Source, Contents] | None:
        """Those of `sources` that exist. None where the operator may not look."""
        unserved = self._unserved_in(namespace)
        if any(kind in unserved for kind, _ in sources):
            return None
        found = {(kind, name): self.contents[kind].get((namespace, name)) for kind, name in sources}
        return {source: contents for source, contents in found.items() if contents and not contents.leaving}

    def restart_mark(self, key: Key) -> str:
        """The mark on the pods of a service's Deployment, empty without one."""
        found = [live.state for _, live in self.children[DEPLOYMENT].members(_groups(*key, "")[0])]
        return next((state.restart_mark for state in found if isinstance(state, DeploymentState)), "")

    def serve(self, kind: str, namespace: str | None, error: OperatorError | None) -> None:
        """Note that a kind is served, or why it is not; in one namespace, or in all."""
        if error is None:
            self._unserved.pop((kind, namespace), None)
        else:
            forbidden = isinstance(error, Rejected)
            self._unserved[kind, namespace] = Unserved(_why(kind, forbidden=forbidden), forbidden=forbidden)

    def _unserved_in(self, namespace: str) -> dict[str, Unserved]:
        return {kind: why for (kind, where), why in self._unserved.items() if where in {None, namespace}}

    def absent(self, namespace: str) -> frozenset[str]:
        """Kinds that the cluster does not serve there. Of one that is forbidden nobody knows."""
        return frozenset(kind for kind, why in self._unserved_in(namespace).items() if not why.forbidden)

    def observe(self, service: ProductionService, desired: Sequence[Manifest]) -> Observed:
        """Everything that carries the service's label, is controlled by it, or has the name of a wanted child."""
        namespace, name, uid = service.metadata.namespace, service.metadata.name, service.metadata.uid
        objects: dict[Ref, Live] = {}
        for kind, store in self.children.items():
            for group in _groups(namespace, name, uid):
                objects.update({Ref(kind, found[1]): live for found, live in store.members(group)})
        for ref in map(ref_of, desired):
            live = self.children[ref.kind].get((namespace, ref.name))
            if live is not None:
                objects[ref] = live
        # Workers start when every informer has listed: there is no pass before.
        return Observed(uid, objects, synced=True, unserved=self._unserved_in(namespace))

    def snapshot(self, key: Key, uid: str) -> int:
        """Hash of the versions of all that a pass looks at: equal ones have an equal outcome.

        A wanted child that is there but neither labelled nor controlled as ours is not in it: such a pass fails, and
        is not remembered. A hash (61 bits) and not the versions: there is one for each service.
        """
        groups = _groups(*key, uid)
        children = [store.versions(group) for store in self.children.values() for group in groups]
        unserved = tuple((where, why.forbidden) for where, why in self._unserved.items())
        sources = self._sources.get(key, ())
        contents = [self._referred(key[0], source) for source in sources]
        pods = self.pods.versions(groups[0])
        taken = tuple(self.taken(key).items())
        return hash((self.parents.version(key), unserved, sources, taken, *contents, *children, pods))

    def _referred(self, namespace: str, source: Source) -> object:
        """Changes when a source does. Of another service only one thing matters, which its status does not change."""
        kind, name = source
        if kind == CALLEE:
            return self.admitted(namespace, (name,))[name]
        return self.contents[kind].version((namespace, name))

    def take(self, ref: Ref, body: Manifest, *, verified: str | None) -> Live:
        """The answer to our own write; `verified` is the digest of what was written, if the answer contains it."""
        store, name = self.children[ref.kind], name_of(body["metadata"])
        made = Live.of(ref.kind, body, store.get(name), verified=verified)
        store.answer(body, lambda _body, _before: made)
        live = store.get(name)
        if live is None:
            return made
        if verified and live.packed is not None and live.content == made.content:
            # The informer was faster than the answer.
            return self._verify(store, name, live, verified)
        return live

    def verify(self, namespace: str, plan: Plan) -> None:
        """Note which objects were found to be as wanted: their content need not be kept any longer."""
        for change in plan.changes:
            store, name = self.children[change.ref.kind], (namespace, change.ref.name)
            live = store.get(name)
            if change.action is Action.UNCHANGED and change.manifest and live and live.packed is not None:
                self._verify(store, name, live, applied_digest(change.manifest))

    def _verify(self, store: Store[Live], name: Name, live: Live, digest: str) -> Live:
        self.unpacked += 1
        verified = live.verify(digest)
        store.amend(name, lambda _: verified)
        return verified

    def pods_of(self, key: Key) -> list[PodState]:
        """The serving pods of one service."""
        return [pod for _, pod in self.pods.members(("service", *key))]

    def parent_of(self, uid: str) -> list[Key]:
        """The service with this UID, if it is known."""
        return [name for name, _ in self.parents.members(("uid", uid))]


def _why(kind: str, *, forbidden: bool) -> str:
    if kind not in KINDS:
        return f"the operator may not list and watch {SOURCES[kind].plural}: grant it with the chart's ClusterRole"
    known = KINDS[kind]
    name = f"{known.plural}.{known.group}" if known.group else known.plural
    if forbidden:
        return f"the operator may not list and watch {name}: grant it with the chart's ClusterRole"
    return f"the cluster has no {name}: install {known.origin or known.api_version}"


def child_groups(body: Mapping[str, Any]) -> tuple[Group, ...]:
    """By which services an object is found: the one in its label, and the one that controls it."""
    metadata = body["metadata"]
    service = (metadata.get("labels") or {}).get(labels.SERVICE)
    owner = owner_of(body)
    return (
        *((("service", metadata["namespace"], service),) if service else ()),
        *((("owner", owner.uid),) if owner else ()),
    )


def _groups(namespace: str, name: str, uid: str) -> tuple[Group, Group]:
    """Under what the children of a service are found."""
    return ("service", namespace, name), ("owner", uid)


def _pod_state(body: Mapping[str, Any], _before: PodState | None) -> PodState:
    return pod_state(body)


def _uid_and_hosts(body: Mapping[str, Any]) -> tuple[Group, ...]:
    return (("uid", body["metadata"]["uid"]), *(("host", host) for host in sorted(set(hosts_of(body)))))
