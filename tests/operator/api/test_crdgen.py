"""The CRD: what the API server needs of a schema, and that it says what the models say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
from hypothesis import given

from productionservice.api import parse
from productionservice.api.crdgen import custom_resource_definition, spec_schema
from productionservice.api.v1alpha1 import Environment, Spec
from productionservice.effective import PROFILES, most_unavailable
from tests.support.specs import specs

Schema = dict[str, Any]
ROOT: Schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(f"{path}.{name}", child)
    if "items" in schema:
        yield from nodes(f"{path}[]", schema["items"])


SPEC = dict(nodes("spec", ROOT["properties"]["spec"]))
STATUS = dict(nodes("status", ROOT["properties"]["status"]))


def test_the_schema_is_structural() -> None:
    for path, schema in {**SPEC, **STATUS}.items():
        assert "type" in schema, path
        assert not {"$ref", "anyOf", "oneOf", "allOf", "title", "additionalProperties"} & set(schema), path


def test_every_field_is_explained() -> None:
    fields = {path: schema for path, schema in {**SPEC, **STATUS}.items() if not path.endswith("[]")}

    assert [path for path, schema in fields.items() if not schema.get("description")] == []


def test_no_text_is_refused_with_a_pattern() -> None:
    # "should match '^[a-z]…$'" does not say what to write: a text has a rule with words instead.
    assert [path for path, schema in SPEC.items() if "pattern" in schema] == []


def test_every_list_and_text_of_the_spec_is_bounded() -> None:
    # Otherwise the API server estimates rules as too expensive, and one object could fill etcd.
    for path, schema in SPEC.items():
        if schema["type"] == "array":
            assert "maxItems" in schema, path
        if schema["type"] == "string" and "enum" not in schema:
            assert "maxLength" in schema, path


def test_defaults_recurse() -> None:
    for path, schema in SPEC.items():
        inner = [c for c in schema.get("properties", {}).values() if "default" in c]
        if (
            inner
            and path not in {"spec", "spec.image", "spec.expose", "spec.expose.tls.issuer"}
            and not path.endswith(("[]", "scratch"))
        ):
            assert "default" in schema, path


def test_rules_have_messages_that_name_a_field() -> None:
    # A rule on a text says what the text should be; its field is in the path of the API server's answer.
    on_objects = [
        rule
        for schema in SPEC.values()
        if schema["type"] == "object"
        for rule in schema.get("x-kubernetes-validations", [])
    ]

    assert len(on_objects) > 20
    for rule in on_objects:
        assert re.match(r"[a-z][A-Za-z.]+(\.[a-zA-Z]+)*:", rule["message"]), rule["message"]


def test_the_rule_on_availability_has_the_numbers_of_the_profiles() -> None:
    rule = next(r["rule"] for r in SPEC["spec"]["x-kubernetes-validations"] if "maxUnavailable" in r["rule"])

    for environment in Environment:
        number = PROFILES[environment].replicas_min
        said = f"self.environment == '{environment.value}' ? {number}"
        assert said in rule or f": {number})" in rule
    assert [most_unavailable(n) for n in (1, 2, 3, 4, 5)] == [
        (n + 1) // 2 - 1 if n >= 3 else 1 for n in (1, 2, 3, 4, 5)
    ]


@given(specs)
def test_what_one_of_models_and_schema_accepts_the_other_accepts_and_reads_back(spec: dict[str, Any]) -> None:
    jsonschema.validate(spec, spec_schema())

    parsed = parse({"metadata": {"name": "a", "namespace": "b"}, "spec": spec}).spec
    written = parsed.model_dump(mode="json", by_alias=True, exclude_none=True)

    jsonschema.validate(written, spec_schema())
    assert Spec.model_validate(written) == parsed


@pytest.mark.parametrize("column", ["Ready", "Reason", "Version", "URL", "Since", "Age"])
def test_kubectl_get_answers_each_question(column: str) -> None:
    columns = custom_resource_definition()["spec"]["versions"][0]["additionalPrinterColumns"]

    assert column in {c["name"] for c in columns if c["priority"] == 0}
