"""What the operator knows of the world, in memory: services, their children, their pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from productionservice import labels
from productionservice.api import API_VERSION, PLURAL, ProductionService
from productionservice.children import CHILDREN, Manifest
from productionservice.engine.client import Body, Resource
from productionservice.engine.queue import Key
from productionservice.engine.store import Group, Store, without_managed_fields
from productionservice.plan import Live, Observed, Ref, ref_of
from productionservice.status.pods import PodState, pod_state

PARENTS = Resource(API_VERSION, PLURAL)
PODS = Resource("v1", "pods")
RESOURCES: Mapping[str, Resource] = {
    kind.kind: Resource(kind.api_version, kind.plural) for kind, _ in CHILDREN
}
"""URLs of each kind of child."""
CHILD_SELECTOR = labels.SERVICE
"""Objects with this label, whatever its value."""
POD_SELECTOR = f"{labels.SERVICE},{labels.COMPONENT}={labels.WEB}"
"""The serving pods only, not those of jobs."""


class Caches:
    """All stores. Reflectors fill them, and so do the answers to our own writes: we always read what we wrote."""

    def __init__(self) -> None:
        self.parents: Store[Body] = Store(without_managed_fields, _own_uid)
        self.children: dict[str, Store[Body]] = {
            kind: Store(without_managed_fields, child_groups) for kind in RESOURCES
        }
        self.pods: Store[PodState] = Store(pod_state, child_groups)

    def observe(self, service: ProductionService, desired: Sequence[Manifest]) -> Observed:
        """Everything that carries the service's label, is controlled by it, or has the name of a wanted child."""
        namespace, name, uid = service.metadata.namespace, service.metadata.name, service.metadata.uid
        objects: dict[Ref, Live] = {}
        for kind, store in self.children.items():
            for group in (("service", namespace, name), ("owner", uid)):
                objects.update({Ref(kind, found[1]): Live(body) for found, body in store.members(group)})
        for ref in map(ref_of, desired):
            body = self.children[ref.kind].get((namespace, ref.name))
            if body is not None:
                objects[ref] = Live(body)
        # Workers start when every informer has listed: there is no pass before.
        return Observed(owner_uid=uid, objects=objects, synced=True)

    def pods_of(self, key: Key) -> list[PodState]:
        """The serving pods of one service."""
        return [pod for _, pod in self.pods.members(("service", *key))]

    def parent_of(self, uid: str) -> list[Key]:
        """The service with this UID, if it is known."""
        return [name for name, _ in self.parents.members(("uid", uid))]


def child_groups(body: Mapping[str, Any]) -> tuple[Group, ...]:
    """By which services an object is found: the one in its label, and the one that controls it."""
    metadata = body["metadata"]
    service = (metadata.get("labels") or {}).get(labels.SERVICE)
    owner = Live(dict(body)).owner_uid
    return (
        *((("service", metadata["namespace"], service),) if service else ()),
        *((("owner", owner),) if owner else ()),
    )


def _own_uid(body: Mapping[str, Any]) -> tuple[Group, ...]:
    return (("uid", body["metadata"]["uid"]),)
