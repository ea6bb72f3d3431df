"""Reading a ProductionService: what does not fit is named by its field."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.api import parse
from productionservice.errors import InvalidSpec

METADATA = {"name": "catalog", "namespace": "shop"}
IMAGE = {"repository": "shop/catalog", "tag": "v1.4.2"}


def faults(body: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        parse(body)
    return caught.value.problems


def test_each_fault_is_one_line_that_begins_with_its_field() -> None:
    spec = {"image": {**IMAGE, "tga": "v1"}, "port": 70000, "env": [{"name": "A", "value": 5}]}

    assert [line.partition(":")[0] for line in faults({"metadata": METADATA, "spec": spec})] == [
        "spec.image.tga", "spec.port", "spec.env[0].value",
    ]  # fmt: skip


def test_a_missing_spec_is_a_missing_image() -> None:
    assert faults({"metadata": METADATA}) == ["spec.image: Field required"]


def test_a_spec_that_is_no_object_is_named_as_a_whole() -> None:
    assert [line.partition(":")[0] for line in faults({"metadata": METADATA, "spec": "v1"})] == ["spec"]


def test_a_fault_of_the_metadata_is_not_blamed_on_the_spec() -> None:
    assert faults({"metadata": {"name": "catalog"}, "spec": {"image": IMAGE}}) == [
        "metadata.namespace: Field required"
    ]


def test_labels_and_other_metadata_are_passed_over() -> None:
    metadata = {**METADATA, "uid": "u", "generation": 3, "labels": {"a": "b"}, "managedFields": []}

    service = parse({"metadata": metadata, "spec": {"image": IMAGE}, "status": {"url": "x"}})

    assert (service.metadata.uid, service.metadata.generation) == ("u", 3)
