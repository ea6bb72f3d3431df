"""docs/reference.md: every field of the resource, made from the CRD's schema so that the two cannot differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from productionservice.api import API_VERSION, KIND
from productionservice.api.crdgen import custom_resource_definition

_INTRODUCTION = f"""# {KIND} reference
Made by `make generate` from `operator/productionservice/api/`; edit that, not this.

`apiVersion: {API_VERSION}`, `kind: {KIND}`. Everything but `spec.image` is optional.
A field without a default here takes it from `spec.environment`; `status.effective` shows what it came to.
"""


def reference() -> str:
    """The whole document."""
    version = custom_resource_definition()["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    properties = schema["properties"]
    parts = [_INTRODUCTION, "## Spec\n" + _table("spec", properties["spec"])]
    parts.append("## What is refused\n" + "\n".join(f"- {message}" for message in _rules(schema)) + "\n")
    parts.append("## Status\n" + _table("status", properties["status"]))
    return "\n".join(parts)


def _table(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in _rows(name, schema)
    ]
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _rows(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, child in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        inner = child.get("items", child)
        default = (
            "" if inner.get("properties") or "default" not in child else f"`{json.dumps(child['default'])}`"
        )
        yield below, _type(child), default, child.get("description", "").replace("|", "\\|")
        yield from _rows(f"{below}[]" if "items" in child else below, inner)


def _type(schema: dict[str, Any]) -> str:
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = [str(schema[key]) for key in ("minimum", "maximum") if key in schema]
    return f"{schema['type']} {' to '.join(bounds)}".strip()


def _rules(schema: dict[str, Any]) -> Iterator[str]:
    """Messages of all rules, each once."""
    seen: dict[str, None] = {}
    pending = [schema]
    while pending:
        current = pending.pop(0)
        for rule in current.get("x-kubernetes-validations", []):
            seen.setdefault(rule["message"])
        pending += [
            *current.get("properties", {}).values(),
            *([current["items"]] if "items" in current else []),
        ]
    return iter(seen)
