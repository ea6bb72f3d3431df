"""What the API says about a price."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Price(BaseModel):
    """What a product costs now."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True)

    product_id: Annotated[str, Field(examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"])]
    """Product that it is for."""
    price_cents: Annotated[int, Field(examples=[4410])]
    """To pay, in the currency's smallest unit."""
    list_cents: Annotated[int, Field(examples=[4900])]
    """Without offer."""
    currency: Annotated[str, Field(examples=["EUR"])]
    """ISO 4217 code."""
    offer: Annotated[str | None, Field(examples=["Season's end"])] = None
    """Name of the offer; null without one."""
    source: Literal["pricing", "list"]
    """`list`: the pricing service did not answer, so there may be an offer that is not shown."""
