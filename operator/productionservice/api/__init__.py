"""The resource: its names, its models, and reading one from what the API server sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from productionservice.api.v1alpha1 import Metadata, ProductionService, Spec
from productionservice.errors import InvalidSpec

GROUP = "productionservice.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ProductionService"
PLURAL = "productionservices"

__all__ = ["API_VERSION", "GROUP", "KIND", "PLURAL", "VERSION", "ProductionService", "Spec", "parse"]


def parse(body: Mapping[str, Any]) -> ProductionService:
    """Read a ProductionService from its JSON form.

    Raises InvalidSpec with one `field: message` line per fault. Objects that passed the CRD's schema
    and CEL rules parse; this is the second line, for objects stored before a rule existed.
    """
    try:
        metadata = Metadata.model_validate(body.get("metadata") or {})
        spec = Spec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        raise InvalidSpec([f"spec.{_path(e['loc'])}: {e['msg']}" for e in error.errors()]) from error
    return ProductionService(metadata=metadata, spec=spec)


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
