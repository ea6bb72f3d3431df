"""The pricing application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from catalog.pricing.schemas import Offer, Offers, Sku
from prodkit import App, Settings, create_app
from prodkit.settings import distribution_version

_LABELS = {10: "Season's end", 20: "Member price", 30: "Last pieces"}


class PricingSettings(Settings):
    """prodkit's settings under the prefix `PRICING_`."""

    model_config = SettingsConfigDict(env_prefix="PRICING_")

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")] = "pricing"
    """Name of the service in logs, metrics and `/version`."""
    version: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default_factory=lambda: distribution_version("productionservice")
    )
    """Version that runs; by default the one of the installed package."""


def create_pricing(settings: PricingSettings) -> App:
    """The pricing application. It keeps nothing: every replica gives the same answers."""
    app = create_app(settings, title="Pricing", description="Offers for products.")

    @app.get("/offers", summary="Offers of products", tags=["offers"])
    async def list_offers(
        sku: Annotated[list[Sku], Query(min_length=1, max_length=100, description="Products to ask for")],
    ) -> Offers:
        """The offers that run for these products."""
        found = (offer_for(one) for one in dict.fromkeys(sku))
        return Offers(offers=[offer for offer in found if offer is not None])

    return app


def offer_for(sku: str) -> Offer | None:
    """The offer of a product: every third one has one, always the same."""
    number = sum(sku.encode())
    if number % 3:
        return None
    percent = 10 * (1 + number // 3 % 3)
    return Offer(sku=sku, percent_off=percent, label=_LABELS[percent])
