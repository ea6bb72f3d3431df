"""What the API takes and gives. Field docs and examples become the OpenAPI description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

TEXT = r"^[^\x00]*$"
"""Pattern of free text: anything but NUL, which PostgreSQL cannot keep."""
_NAME = r"^[^\x00]*[^\s\x00][^\x00]*$"  # and not only blanks
Sku = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$", examples=["LAMP-001"])]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=_NAME, examples=["Desk lamp Aurora"])]
Category = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", examples=["lighting"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
Cents = Annotated[int, Field(ge=0, le=1_000_000_000, examples=[4900])]


class _Schema(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, use_attribute_docstrings=True
    )


class ProductInput(_Schema):
    """A product as a client writes it."""

    model_config = ConfigDict(extra="forbid")

    sku: Sku
    """Stock keeping unit: unique, capitals, digits and dashes."""
    name: Name
    """Name to show."""
    description: Annotated[str, Field(max_length=2000, pattern=TEXT, examples=["Dimmable LED lamp"])] = ""
    """Plain text."""
    category: Category
    """Group that lists can be filtered by."""
    price_cents: Cents
    """Price in the currency's smallest unit."""
    currency: Currency = "EUR"
    """ISO 4217 code."""


class Product(_Schema):
    """A product as the catalogue keeps it."""

    id: Annotated[str, Field(examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"])]
    """Made by the catalogue; sorts by time of creation."""
    sku: Sku
    name: Name
    description: str
    category: Category
    price_cents: Cents
    currency: Currency
    version: Annotated[int, Field(ge=1, examples=[1])]
    """Counts the writes; the `ETag` header carries it."""
    created_at: datetime
    updated_at: datetime


class ProductPage(_Schema):
    """One page of a list."""

    items: list[Product]
    next_cursor: Annotated[str | None, Field(examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"])] = None
    """`cursor` of the next page; null on the last one."""
