"""What is kept of a ProductionService."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from productionservice import labels
from productionservice.engine.client import Body

Conditions: TypeAlias = tuple[tuple[str, str], ...]
"""Type and status of each condition."""

_SHARED: dict[Conditions, Conditions] = {}
"""One copy of each: most services say the same."""


@dataclass(frozen=True, slots=True)
class Parent:
    """One service: what decides whether somebody wants something else, and the body for a pass, packed."""

    uid: str
    generation: int
    leaving: bool
    """True while it is being deleted."""
    paused: str
    """Value of the annotation that pauses it, empty without."""
    conditions: Conditions
    callers: tuple[str, ...]
    """Services that it lists in its `allowFrom`."""
    claims: frozenset[tuple[str, str]]
    """Hosts under which it wants to be reached, each with the time since when the service exists."""
    packed: bytes

    @classmethod
    def of(cls, body: Mapping[str, Any], _before: Parent | None = None) -> Parent:
        """From the JSON form. The record of who owns which field, often half of it, is never read: not kept."""
        metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
        return cls(
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            leaving="deletionTimestamp" in metadata,
            paused=(metadata.get("annotations") or {}).get(labels.PAUSED, ""),
            conditions=_conditions(body.get("status") or {}),
            callers=_callers(body.get("spec")),
            claims=frozenset((host, metadata.get("creationTimestamp", "")) for host in hosts_of(body)),
            packed=zlib.compress(orjson.dumps({**body, "metadata": metadata}), 1),
        )

    @property
    def body(self) -> Body:
        """The JSON form, a new copy each time."""
        found: Body = orjson.loads(zlib.decompress(self.packed))
        return found

    @property
    def admits(self) -> tuple[str, ...] | None:
        """Whom it lets in, by name; None once it is being deleted."""
        return None if self.leaving else self.callers

    @property
    def wish(self) -> tuple[str, int, bool, str]:
        """Changes when somebody wants something else; our own status does not change it."""
        return (self.uid, self.generation, self.leaving, self.paused)


def hosts_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The hosts that a service in JSON form claims."""
    return tuple(host for host in _items(body.get("spec"), "expose", "hosts") if isinstance(host, str))


def _callers(spec: Any) -> tuple[str, ...]:
    peers = [peer for peer in _items(spec, "network", "allowFrom") if isinstance(peer, Mapping)]
    return tuple(sorted({name for peer in peers if isinstance(name := peer.get("service"), str) and name}))


def _items(spec: Any, field: str, name: str) -> Sequence[Any]:
    """A list within a field of the spec. What was stored before the CRD had its rules may hold anything there: it is
    told so by a pass, which reads it with the models; here it must do no harm.
    """
    inner = spec.get(field) if isinstance(spec, Mapping) else None
    found = inner.get(name) if isinstance(inner, Mapping) else None
    return found if isinstance(found, list) else ()


def _conditions(status: Mapping[str, Any]) -> Conditions:
    """What is counted of the status."""
    found = tuple((c["type"], c["status"]) for c in status.get("conditions") or [])
    return _SHARED.setdefault(found, found)
