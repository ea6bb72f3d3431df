"""Secrets and ConfigMaps as the operator sees them: metadata, never a value.

The record of who wrote which field (`metadata.managedFields`) names the keys and the time of the last write of data:
enough to miss a key and to notice a change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from productionservice.children.references import CONFIG_MAP, SECRET
from productionservice.engine.client import Resource

SOURCES: Mapping[str, Resource] = {
    SECRET: Resource("v1", "secrets", metadata_only=True),
    CONFIG_MAP: Resource("v1", "configmaps", metadata_only=True),
}
_DATA = ("f:data", "f:binaryData", "f:stringData")


@dataclass(frozen=True, slots=True)
class Contents:
    """One Secret or ConfigMap."""

    keys: frozenset[str] | None
    """Names of its keys; None when nobody recorded them."""
    mark: str
    """Another text for other content. A label or annotation written by others does not change it."""
    again: str
    """Another text for each write of data that the record does not tell from the one before, empty without one."""
    leaving: bool
    """True while it is being deleted."""
    version: str = field(compare=False)
    record: bytes = field(compare=False)
    """Digest of the whole record."""

    @classmethod
    def of(cls, body: Mapping[str, Any], before: Contents | None = None) -> Contents:
        """From the metadata of an object. `before` is what was known of it."""
        metadata = body["metadata"]
        version, managed = metadata["resourceVersion"], metadata.get("managedFields")
        writes = [write for write in managed or [] if _data(write)]
        keys = frozenset(
            key[2:] for write in writes for part in _data(write) for key in part if key.startswith("f:")
        )
        seen = [[w.get("manager"), w.get("time"), _data(w)] for w in writes] if managed else version
        mark, record = _digest([metadata["uid"], seen]).hex(), _digest(managed)
        again = ""
        if before is not None and before.mark == mark:
            # The record has whole seconds: a version that it does not explain is a second write within one.
            unexplained = before.record == record and before.version != version
            again = version if unexplained else before.again
        return cls(
            keys=keys if managed else None, mark=mark, again=again, leaving="deletionTimestamp" in metadata,
            version=version, record=record,
        )  # fmt: skip


def _digest(value: object) -> bytes:
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()


def _data(write: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of one manager's record that are about data."""
    fields = write.get("fieldsV1") or {}
    return [fields[part] for part in _DATA if part in fields]
