"""From the models to the CustomResourceDefinition: a structural schema without references.

pydantic writes JSON Schema 2020; the API server takes a stricter subset. What differs is changed here: references
are inlined, "or null" disappears (absent is how Kubernetes says null), titles and `additionalProperties: false` go
(the API server prunes and, when asked, refuses unknown fields by itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from productionservice.api import GROUP, KIND, PLURAL, VERSION
from productionservice.api.markers import COLUMNS
from productionservice.api.v1alpha1 import NAME_RULES, Spec, Status

Schema = dict[str, Any]

SHORT_NAME = "psvc"
_DROPPED = frozenset({"title", "additionalProperties", "$defs"})


def custom_resource_definition() -> dict[str, Any]:
    """The whole CRD in JSON form, deterministic."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.as_schema() for column in COLUMNS],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def spec_schema() -> Schema:
    """Structural schema of `spec`."""
    return structural(Spec.model_json_schema(mode="validation"))


def structural(schema: Mapping[str, Any]) -> Schema:
    """Rewrite a schema that pydantic made into the subset that the API server takes."""
    return _rewrite(schema, schema.get("$defs", {}))


def _root() -> Schema:
    return {
        "type": "object",
        "description": "One service: what a team runs. The operator makes it production-grade and keeps it so.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            "status": structural(Status.model_json_schema(mode="validation")),
        },
        "x-kubernetes-validations": [rule.as_schema() for rule in NAME_RULES],
    }


def _rewrite(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    merged = _without_null(_inlined(schema, definitions), definitions)
    result: Schema = {}
    for key, value in merged.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "properties":
            result[key] = {name: _rewrite(child, definitions) for name, child in value.items()}
        elif key == "items":
            result[key] = _rewrite(value, definitions)
        elif key == "default":
            result[key] = _given(value)
        elif key == "description":
            result[key] = " ".join(value.split())
        else:
            result[key] = value
    return result


def _inlined(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The schema with its reference replaced; what stands beside the reference (description, default) wins."""
    if "$ref" not in schema:
        return dict(schema)
    target = definitions[schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _given(value: Any) -> Any:
    """A default without its absent fields: null is no value in Kubernetes."""
    if not isinstance(value, dict):
        return value
    return {key: _given(child) for key, child in value.items() if child is not None}


def _without_null(schema: Schema, definitions: Mapping[str, Any]) -> Schema:
    """`X or null` as X."""
    choices = schema.pop("anyOf", None)
    if choices is None:
        return schema
    (choice,) = [c for c in choices if c.get("type") != "null"]
    return {**_inlined(choice, definitions), **schema}
