"""The catalogue and pricing in this process, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from catalog.app import create_catalog
from catalog.pricing.app import PricingSettings, create_pricing
from catalog.settings import CatalogSettings
from prodkit import App


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running application."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


def catalog(**settings: Any) -> App:
    """The catalogue with sample products, unless `settings` say otherwise."""
    return create_catalog(CatalogSettings.load(access_log=False, **settings))


def pricing() -> App:
    """The pricing service."""
    return create_pricing(PricingSettings.load(access_log=False))
