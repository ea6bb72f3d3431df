"""Writes as the API server's audit log has them: the one witness that is not ourselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


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
        with self.path.open() as log:
            log.seek(self._start)
            entries = [json.loads(line) for line in log if line.endswith("\n")]
        return [
            _line(entry)
            for entry in entries
            if entry["stage"] == "ResponseComplete"
            and entry["verb"] in _WRITES
            and entry["user"]["username"] == user
            and entry.get("objectRef", {}).get("namespace") == namespace
            and entry["objectRef"]["resource"] not in aside
        ]


def _line(entry: dict[str, dict[str, str]]) -> str:
    where = entry["objectRef"]
    resource = "/".join(filter(None, (where["resource"], where.get("subresource"))))
    return f"{entry['verb']} {resource} {where.get('name', '')}"
