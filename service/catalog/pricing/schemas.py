"""The contract between the catalogue and pricing. Both sides use these classes; a test holds each to them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Sku = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$", examples=["LAMP-001"])]


class _Schema(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, use_attribute_docstrings=True
    )


class Offer(_Schema):
    """A price that is lower than the list price for now."""

    sku: Sku
    """Product that it is for."""
    percent_off: Annotated[int, Field(ge=1, le=90, examples=[10])]
    """Off the list price, in whole percent."""
    label: Annotated[str, Field(min_length=1, max_length=60, examples=["Season's end"])]
    """What to call it."""


class Offers(_Schema):
    """The offers that run for the products asked for; those without one are left out."""

    offers: list[Offer]
