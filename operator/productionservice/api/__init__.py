"""The resource: its names, its models, and reading one from what the API server sends."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from productionservice.api.v1alpha1 import Metadata, ProductionService, Spec
from productionservice.errors import InvalidSpec

GROUP = "productionservice.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ProductionService"
PLURAL = "productionservices"

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "ProductionService",
    "Spec",
    "parse",
    "parse_stored",
]

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(body: Mapping[str, Any]) -> ProductionService:
    """Read a ProductionService from its JSON form.

    Raises InvalidSpec with one `field: message` line per fault. Objects that passed the CRD's schema
    and CEL rules parse; this is the second line, for objects stored before a rule existed.
    """
    metadata = _read(Metadata, "metadata", body)
    return ProductionService(metadata=metadata, spec=_read(Spec, "spec", body))


def parse_stored(body: Mapping[str, Any]) -> ProductionService:
    """As `parse`, for what the API server has stored: fields that this version does not know are left out and named.

    The CRD has let them in, so they are of a newer release: after a downgrade the service goes on without them.
    """
    try:
        return parse(body)
    except InvalidSpec as error:
        found = _unknown(error.__cause__)
        if not found:
            raise
    known = copy.deepcopy(dict(body))
    for location in found:
        _remove(known["spec"], location)
    unknown = tuple(f"spec{_path(location)}" for location in found)
    return parse(known).model_copy(update={"unknown": unknown})


def _unknown(error: BaseException | None) -> list[tuple[int | str, ...]]:
    """Where there are unknown fields."""
    faults = error.errors() if isinstance(error, ValidationError) and error.title == Spec.__name__ else []
    return [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]


def _remove(node: Any, location: tuple[int | str, ...]) -> None:
    for part in location[:-1]:
        node = node[part]
    del node[location[-1]]


def _read(model: type[ModelT], field: str, body: Mapping[str, Any]) -> ModelT:
    """One part of the body as its model. Raises InvalidSpec, whose lines begin with the path below `field`."""
    try:
        return model.model_validate(body.get(field) or {})
    except ValidationError as error:
        raise InvalidSpec(
            [f"{field}{_path(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        ) from error


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
