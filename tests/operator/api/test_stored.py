"""Objects that a newer release has written, read by this one: after a downgrade services go on."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.api import parse, parse_stored
from productionservice.errors import InvalidSpec

IMAGE = {"repository": "shop/catalog", "tag": "v1"}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "catalog", "namespace": "shop"}, "spec": {"image": IMAGE, **spec}}


def test_fields_of_a_newer_release_are_left_out_and_named() -> None:
    newer = body(
        future={"x": 1},
        replicas={"min": 2, "burst": 3},
        env=[{"name": "A", "value": "b"}, {"name": "B", "from": "c", "value": ""}],
    )
    found = parse_stored(newer)

    assert set(found.unknown) == {"spec.future", "spec.replicas.burst", "spec.env[1].from"}
    assert found.spec.replicas.min == 2
    assert newer["spec"]["future"] == {"x": 1}, "the body itself stays as it is"


def test_a_known_object_has_none() -> None:
    assert parse_stored(body()).unknown == ()


def test_what_else_is_wrong_is_an_error_all_the_same() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.port"):
        parse_stored(body(future=1, port="eighty"))


def test_offline_an_unknown_field_is_a_typing_error() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.prot"):
        parse(body(prot=80))
