"""The good examples: together they say every field, and each can be rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
import yaml

from productionservice.api import KIND
from productionservice.api.crdgen import custom_resource_definition
from productionservice.children import CHILDREN
from tests.support.builders import children, make_service
from tests.support.leaves import document_leaves, pattern, schema_leaves

ACCEPTS = sorted((Path(__file__).parents[3] / "e2e" / "accepts").glob("*.yaml"))
ROOT = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def load(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(path.read_text())
    return body


def test_together_they_say_every_field() -> None:
    said = {pattern(leaf) for path in ACCEPTS for leaf in document_leaves(load(path)["spec"])}

    assert schema_leaves() - said == set()


@pytest.mark.parametrize("path", ACCEPTS, ids=lambda path: path.stem)
def test_each_is_valid_and_can_be_rendered(path: Path) -> None:
    body = load(path)
    jsonschema.validate(body, ROOT)

    rendered = children(make_service(name=body["metadata"]["name"], **body["spec"]))

    assert body["kind"] == KIND
    assert set(rendered) <= {kind.kind for kind, _ in CHILDREN}
    assert {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= set(rendered)
