"""Every leaf of a model, every leaf of a document, and another valid value for each."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from productionservice.api import Spec

Path = tuple[str | int, ...]


def schema_leaves() -> set[str]:
    """Paths of all leaves that the spec's schema knows, such as `env[].valueFrom.secretKeyRef.name`."""
    schema = Spec.model_json_schema(by_alias=True)
    return set(_schema_leaves(schema, schema["$defs"], ""))


def document_leaves(document: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of all leaves that a document has; items of a list by index."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from document_leaves(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from document_leaves(value, (*path, index))
    else:
        yield path


def pattern(path: Path) -> str:
    """A document's path in the form of `schema_leaves`."""
    text = "".join("[]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")


def get(document: Any, path: Path) -> Any:
    """The value at a path."""
    for part in path:
        document = document[part]
    return document


def replaced(document: Any, path: Path, value: Any) -> Any:
    """A copy with another value at a path."""
    changed = copy.deepcopy(document)
    get(changed, path[:-1])[path[-1]] = value
    return changed


_OTHER = {
    "environment": "production",
    "expose.tls.issuer.kind": "Issuer",
    "image.digest": f"sha256:{'b' * 64}",
    "availability.maxUnavailable": 1,
    "availability.zones": "Preferred",
    "network.allowFrom[].cidr": "10.30.0.0/16",
    "network.allowTo[].cidr": "192.0.2.11/32",
    "network.allowTo[].protocol": "UDP",
    "env[].valueFrom.fieldRef.fieldPath": "status.hostIP",
    "mounts[].onChange": "Reload",
    "observability.metrics.monitor": "Off",
    "observability.metrics.port": 8080,
    "shutdown.maxSeconds": 11,
}
"""Where another value cannot be made from the one that is there."""


def other_value(path: Path, value: Any) -> Any:
    """A valid value that differs from `value`."""
    match value:
        case _ if pattern(path) in _OTHER:
            return _OTHER[pattern(path)]
        case bool():
            return not value
        case int():
            return value + 1
        case str() if number := re.match(r"\d+", value):
            return f"{int(number[0]) + 1}{value[number.end() :]}"
        case str():
            return f"{value}x"
    raise TypeError(f"no other value for {value!r} at {pattern(path)}")


def _schema_leaves(node: dict[str, Any], definitions: dict[str, Any], path: str) -> Iterator[str]:
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    alternatives = [option for option in node.get("anyOf", [node]) if option.get("type") != "null"]
    if alternatives != [node]:
        for option in alternatives:
            yield from _schema_leaves(option, definitions, path)
    elif node.get("type") == "object":
        for key, child in node["properties"].items():
            yield from _schema_leaves(child, definitions, f"{path}.{key}" if path else key)
    elif node.get("type") == "array":
        yield from _schema_leaves(node["items"], definitions, f"{path}[]")
    else:
        yield path
