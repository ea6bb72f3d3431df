"""A cluster that does what a plan's writes ask for, and fails where it is told to. For our own code's faults only:
what a real API server does is asked of a real one (tests/api)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from productionservice.engine.answers import Conflict, NotFound
from productionservice.engine.caches import PARENTS, RESOURCES, Caches
from productionservice.engine.client import Resource
from productionservice.errors import OperatorError

KIND_OF = {resource: kind for kind, resource in RESOURCES.items()}


class ClusterInMemory:
    """The client's methods. `calls` has one `verb kind name` each; `fails` an error for the next such call."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.fails: dict[str, OperatorError] = {}
        self.lost: set[str] = set()
        """Calls that succeed but whose answer never arrives: their error is raised afterwards."""
        self._version = 100

    async def create(self, resource: Resource, manifest: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        call = self._call("create", resource, manifest["metadata"]["name"])
        if (KIND_OF[resource], manifest["metadata"]["name"]) in self.objects:
            raise Conflict("the object has been modified")
        stored = self.store(KIND_OF[resource], manifest, uid=f"uid-{manifest['kind']}")
        if call in self.lost:
            raise self.fails.pop(call)
        return stored

    async def apply(
        self, resource: Resource, manifest: Mapping[str, Any], *, uid: str | None = None, **_: Any
    ) -> dict[str, Any]:
        kind = "status" if resource == PARENTS else KIND_OF[resource]
        name = manifest["metadata"]["name"]
        self._call("apply", resource, name)
        live = self.objects.get((kind, name))
        if live is None and kind != "status":
            raise Conflict("uid mismatch")
        merged = {
            **(live or {}),
            **manifest,
            "metadata": {**(live or {}).get("metadata", {}), **manifest["metadata"]},
        }
        if "replicas" in manifest.get("spec", {}) and live:
            merged["spec"] = {**live["spec"], "replicas": manifest["spec"]["replicas"]}
        return self.store(kind, merged, uid=uid or "")

    async def merge(
        self, resource: Resource, _namespace: str, name: str, patch: Mapping[str, Any], **_: Any
    ) -> dict[str, Any]:
        self._call("merge", resource, name)
        kind = KIND_OF[resource]
        live = self.objects[kind, name]
        merged = {**live, "spec": {**live.get("spec", {}), **patch.get("spec", {})}}
        stored = self.store(kind, merged, uid=live["metadata"]["uid"])
        stored["metadata"].setdefault("managedFields", [])
        return stored

    async def get(self, resource: Resource, _namespace: str | None, name: str) -> dict[str, Any]:
        self._call("get", resource, name)
        found = self.objects.get((KIND_OF[resource], name))
        if found is None:
            raise NotFound("gone")
        return copy.deepcopy(found)

    async def find(self, resource: Resource, _namespace: str, name: str) -> dict[str, Any] | None:
        assert resource == PARENTS
        self._call("get", resource, name)
        return copy.deepcopy(self.objects.get(("status", name)))

    async def delete(self, resource: Resource, _namespace: str, name: str, *, uid: str) -> None:
        self._call("delete", resource, name)
        assert self.objects[KIND_OF[resource], name]["metadata"]["uid"] == uid
        del self.objects[KIND_OF[resource], name]

    def store(self, kind: str, manifest: Mapping[str, Any], uid: str) -> dict[str, Any]:
        """Put an object there, as the API server would have it."""
        self._version += 1
        stored = copy.deepcopy(dict(manifest))
        stored["metadata"].update(resourceVersion=str(self._version), uid=uid)
        self.objects[kind, stored["metadata"]["name"]] = stored
        return copy.deepcopy(stored)

    def show(self, caches: Caches) -> None:
        """What informers would do: put everything into the caches."""
        for (kind, _), body in self.objects.items():
            if kind != "status":
                caches.children[kind].put(copy.deepcopy(body))

    def writes(self) -> list[str]:
        """Calls that are not reads, since the last time they were asked for."""
        calls, self.calls = [call for call in self.calls if not call.startswith("get")], []
        return calls

    def _call(self, verb: str, resource: Resource, name: str) -> str:
        call = f"{verb} {'status' if resource == PARENTS else KIND_OF[resource]} {name}"
        self.calls.append(call)
        if call in self.fails and call not in self.lost:
            raise self.fails.pop(call)
        return call
