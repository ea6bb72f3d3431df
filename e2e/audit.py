"""Writes as the API server's audit log has them: the one witness that is not ourselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Call:
    """One request about objects: what it asked for, and the HTTP status that it got."""

    verb: str
    group: str
    resource: str
    """With its subresource, as in `deployments/status`."""
    name: str
    code: int
    allowed: bool = True
    """By the API server's authorizer. A namespace that is going away answers 403 to everybody, allowed or not."""


@dataclass
class AuditLog:
    """The log from now on. `path` grows by one JSON line an event."""

    path: Path

    def __post_init__(self) -> None:
        self._start = self.path.stat().st_size

    def writes(
        self, user: str, namespace: str, *, aside: frozenset[str] = frozenset({"events"})
    ) -> list[str]:
        """`verb resource[/subresource] name` of each finished write by `user` in `namespace`, in order.

        Resources in `aside` are left out.
        """
        return [
            _line(entry)
            for entry in self._entries(user)
            if entry["stage"] == "ResponseComplete"
            and entry["verb"] in _WRITES
            and entry.get("objectRef", {}).get("namespace") == namespace
            and entry["objectRef"]["resource"] not in aside
        ]

    def calls(self, user: str) -> set[Call]:
        """What `user` has asked of the API server, each once."""
        found = set()
        for entry in self._entries(user):
            where, status = entry.get("objectRef", {}), entry.get("responseStatus", {})
            if "resource" not in where:
                continue  # discovery and health
            resource = "/".join(filter(None, (where["resource"], where.get("subresource"))))
            call = Call(
                entry["verb"],
                where.get("apiGroup", ""),
                resource,
                where.get("name", ""),
                status.get("code", 0),
                entry.get("annotations", {}).get("authorization.k8s.io/decision") == "allow",
            )
            found.add(call)
        return found

    def _entries(self, user: str) -> list[dict[str, Any]]:
        with self.path.open() as log:
            log.seek(self._start)
            entries = [json.loads(line) for line in log if line.endswith("\n")]
        return [entry for entry in entries if entry["user"]["username"] == user]


def _line(entry: dict[str, Any]) -> str:
    where = entry["objectRef"]
    resource = "/".join(filter(None, (where["resource"], where.get("subresource"))))
    return f"{entry['verb']} {resource} {where.get('name', '')}"
