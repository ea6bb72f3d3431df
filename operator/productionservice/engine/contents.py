"""Secrets and ConfigMaps as the operator sees them: metadata, never a value.

The record of who wrote which field (`metadata.managedFields`) names the keys and the time of the last write of data:
enough to miss a key and to notice a change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
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
    leaving: bool
    """True while it is being deleted."""

    @classmethod
    def of(cls, body: Mapping[str, Any], _before: Contents | None = None) -> Contents:
        """From the metadata of an object."""
        metadata = body["metadata"]
        record = metadata.get("managedFields")
        writes = [write for write in record or [] if _data(write)]
        keys = frozenset(
            field[2:] for write in writes for part in _data(write) for field in part if field.startswith("f:")
        )
        seen = (
            [[w.get("manager"), w.get("time"), _data(w)] for w in writes]
            if record
            else metadata["resourceVersion"]
        )
        text = orjson.dumps([metadata["uid"], seen], option=orjson.OPT_SORT_KEYS)
        return cls(
            keys=keys if record else None,
            mark=hashlib.blake2b(text, digest_size=8).hexdigest(),
            leaving="deletionTimestamp" in metadata,
        )


def _data(write: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of one manager's record that are about data."""
    fields = write.get("fieldsV1") or {}
    return [fields[part] for part in _DATA if part in fields]
