"""What the API of imports takes and gives."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from catalog.products.schemas import ProductInput


class ImportState(StrEnum):
    """Where an import is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class _Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True)


class ImportInput(_Schema):
    """Products to create, or to replace where the SKU is known."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[ProductInput], Field(min_length=1, max_length=5000)]
    """Each SKU once; all are checked before the first is written."""


class Import(_Schema):
    """How far an import is."""

    id: Annotated[str, Field(examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"])]
    state: ImportState
    """`interrupted`: the replica that worked on it went away. Send it again: what is there is replaced."""
    total: Annotated[int, Field(examples=[1000])]
    """Products in it."""
    created: Annotated[int, Field(examples=[600])]
    """New ones so far."""
    updated: Annotated[int, Field(examples=[100])]
    """Replaced ones so far."""
    started_at: datetime
    seen_at: datetime
    """When it last made progress."""
