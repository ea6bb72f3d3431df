"""What is kept of a child that exists: enough to decide and to tell, at a fraction of its body's size.

A body is kept, packed, only until it has been compared once with what is wanted. From then on two digests say
whether anything has changed: that of the wanted manifest, and that of the body's content.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import orjson

from productionservice import labels
from productionservice.children import Manifest
from productionservice.diff import drift

_NOT_CONTENT = frozenset({"apiVersion", "kind", "status"})
"""How the object was looked up (lists leave it out), and what its controller says of it."""
_VOLATILE = frozenset({"managedFields", "resourceVersion", "generation"})
"""Metadata that says when and by whom something was written, not what."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Owner:
    """The controller of an object."""

    kind: str
    name: str
    uid: str


_OWNERS: WeakValueDictionary[str, Owner] = WeakValueDictionary()
"""By UID, one copy of each: all children of a service have the same. Each rollout has a new one: those of none go."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """The Deployment's own account of itself. Counts are zero until its controller has looked."""

    seen: bool
    """True when its controller has seen the newest template."""
    desired: int
    replicas: int
    updated: int
    ready: int
    available: int
    complete: bool
    """True once its controller has called the rollout complete; scaling does not take that back."""
    stalled: str
    """Message of the progress deadline, empty while it is not exceeded."""
    refused: str
    """Message of the API server when it refuses pods, empty otherwise."""
    restart_mark: str
    """The mark on its pod template that says which Secrets and ConfigMaps the pods have seen."""


@dataclass(frozen=True, slots=True)
class Said:
    """One condition that a controller has set, on the object itself or on one of its parts."""

    type: str
    status: str
    reason: str
    message: str
    since: str
    """When its status changed last; empty where nobody says."""


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What the controllers of routes, Gateways, certificates and Cilium's policies say of an object."""

    said: tuple[Said, ...]
    """Conditions about the newest spec."""
    not_after: str = ""
    """When the certificate expires, RFC 3339."""
    joined: tuple[str, ...] = ()
    """The Gateways that a route names, as namespace/name."""
    taken_up_by: tuple[tuple[str, str], ...] = ()
    """Those of them that say that they lead to the newest spec, and since when (empty where they do not say)."""

    def find(self, type_: str) -> Said | None:
        """The condition of this type; that of the first part that is not content, if there are several."""
        found = [said for said in self.said if said.type == type_]
        return next((said for said in found if said.status != "True"), found[0] if found else None)


TAKEN_UP: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Gateway": ("Accepted", "Programmed"), "HTTPRoute": ("Accepted", "ResolvedRefs")}
)
"""By kind: the conditions that are True once the edge has taken an object up."""

State = DeploymentState | EdgeState | None
"""What status needs to know of a child beyond that it exists; None for most kinds."""


@dataclass(frozen=True, slots=True)
class Live:
    """One object as the API server has it."""

    uid: str
    """Identity: another object of the same name has another one."""
    owner: Owner | None
    """The controller, None when nobody controls the object."""
    service: str | None
    """Value of the label that says which service it belongs to."""
    digest: str | None
    """Digest of the manifest that was applied last, None when the annotation is missing."""
    adopt: str | None
    """Name of the service that may take the object over, None when nobody says so."""
    deleting: bool
    """True while the object is on its way out."""
    content: bytes
    """Digest of everything but status and who wrote it when."""
    state: State
    verified: str | None
    """Digest of a manifest that this very content is known to contain."""
    packed: bytes | None
    """The content, as long as nothing is verified."""

    @classmethod
    def of(
        cls, kind: str, body: Mapping[str, Any], before: Live | None = None, *, verified: str | None = None
    ) -> Live:
        """From the JSON form. `before` is what was known: for equal content it need not be compared again.

        `kind` is said because lists leave it out of their items. `verified` is the digest of a manifest that the
        body was found to contain.
        """
        metadata = body["metadata"]
        text = orjson.dumps(_content(body))
        content = blake2b(text, digest_size=16).digest()
        known = before is not None and before.content == content
        annotations = metadata.get("annotations") or {}
        if verified is None and known and before:
            verified = before.verified
        return cls(
            uid=str(metadata.get("uid", "")),
            owner=owner_of(body),
            service=(metadata.get("labels") or {}).get(labels.SERVICE),
            digest=annotations.get(labels.APPLIED_DIGEST),
            adopt=annotations.get(labels.ADOPT),
            deleting="deletionTimestamp" in metadata,
            content=content,
            state=_STATES[kind](body) if kind in _STATES else None,
            verified=verified,
            packed=None if verified else before.packed if known and before else zlib.compress(text, 1),
        )

    @property
    def body(self) -> Manifest:
        """The content in JSON form. There is none once it has been verified."""
        if self.packed is None:
            raise ValueError("the content was verified and is no longer kept")
        found: Manifest = orjson.loads(zlib.decompress(self.packed))
        return found

    def differences(self, manifest: Manifest) -> list[str]:
        """Where the object does not contain `manifest`; empty when it is as wanted."""
        return [] if self.verified == applied_digest(manifest) else drift(manifest, self.body)

    def verify(self, digest: str) -> Live:
        """The same object, known to contain the manifest with this digest: its content need not be kept."""
        # The digest in the annotation is the same text: keep one of the two.
        return replace(self, verified=self.digest if self.digest == digest else digest, packed=None)

    def same_as(self, other: Live) -> bool:
        """True when nothing has changed that a pass would look at."""
        return self.content == other.content and self.state == other.state


def applied_digest(manifest: Manifest) -> str:
    """The digest that a manifest carries."""
    return str((manifest["metadata"].get("annotations") or {}).get(labels.APPLIED_DIGEST, ""))


def owner_of(body: Mapping[str, Any]) -> Owner | None:
    """The controller owner reference."""
    for reference in body["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return _owner(str(reference.get("kind")), str(reference.get("name")), str(reference.get("uid")))
    return None


def _owner(kind: str, name: str, uid: str) -> Owner:
    owner = _OWNERS.get(uid)
    if owner is None or (owner.kind, owner.name) != (kind, name):
        _OWNERS[uid] = owner = Owner(kind, name, uid)
    return owner


def _content(body: Mapping[str, Any]) -> Manifest:
    content = {key: value for key, value in body.items() if key not in _NOT_CONTENT}
    content["metadata"] = {k: v for k, v in body["metadata"].items() if k not in _VOLATILE}
    return content


def deployment_state(body: Mapping[str, Any]) -> DeploymentState:
    """Read a Deployment's JSON form."""
    status = body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    template = (body.get("spec") or {}).get("template") or {}
    notes = (template.get("metadata") or {}).get("annotations") or {}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    exceeded = progressing.get("reason") == "ProgressDeadlineExceeded"
    return DeploymentState(
        seen=status.get("observedGeneration", 0) >= body.get("metadata", {}).get("generation", 1),
        desired=body.get("spec", {}).get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        complete=progressing.get("reason") == "NewReplicaSetAvailable",
        stalled=progressing.get("message", "") if exceeded else "",
        refused=failure.get("message", "") if failure.get("status") == "True" else "",
        restart_mark=notes.get(labels.RESTART, ""),
    )


def edge_state(body: Mapping[str, Any]) -> EdgeState:
    """Read the JSON form of an HTTPRoute (whose conditions are by parent), or of another kind that has conditions."""
    status = body.get("status") or {}
    generation = body["metadata"].get("generation", 1)
    parents = status.get("parents") or []
    found = [*(status.get("conditions") or []), *(c for p in parents for c in p.get("conditions") or [])]
    return EdgeState(
        tuple(
            Said(
                c["type"],
                c["status"],
                c.get("reason", ""),
                c.get("message", ""),
                c.get("lastTransitionTime", ""),
            )
            for c in found
            if c.get("observedGeneration", generation) >= generation
        ),
        not_after=status.get("notAfter", ""),
        joined=gateways_of(body),
        taken_up_by=tuple(
            (_gateway(body, p), _last_change(p)) for p in parents if _has_taken_up(p, generation)
        ),
    )


def gateways_of(route: Mapping[str, Any]) -> tuple[str, ...]:
    """The Gateways that a route names, as namespace/name; none for another kind."""
    references = (route.get("spec") or {}).get("parentRefs") or []
    return tuple(_gateway(route, {"parentRef": reference}) for reference in references)


def _gateway(route: Mapping[str, Any], parent: Mapping[str, Any]) -> str:
    reference = parent.get("parentRef") or {}
    namespace = reference.get("namespace") or route["metadata"].get("namespace", "")
    return f"{namespace}/{reference.get('name', '')}"


def _has_taken_up(parent: Mapping[str, Any], generation: int) -> bool:
    newest = [
        c for c in parent.get("conditions") or [] if c.get("observedGeneration", generation) >= generation
    ]
    return {c["type"] for c in newest if c["status"] == "True"} >= set(TAKEN_UP["HTTPRoute"])


def _last_change(parent: Mapping[str, Any]) -> str:
    return max((c.get("lastTransitionTime", "") for c in parent["conditions"]), default="")


_STATES: Mapping[str, Callable[[Mapping[str, Any]], State]] = MappingProxyType(
    {
        "Deployment": deployment_state,
        "HTTPRoute": edge_state,
        "Gateway": edge_state,
        "Certificate": edge_state,
        "CiliumNetworkPolicy": edge_state,
    }
)
