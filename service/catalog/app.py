"""The catalogue put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from catalog.caching import Caches
from catalog.database import EmbeddedDatabase, open_database
from catalog.imports.endpoints import imports_router
from catalog.imports.service import ImportService
from catalog.prices.endpoints import prices_router
from catalog.prices.service import PriceService
from catalog.pricing.schemas import Offer
from catalog.products.endpoints import products_router
from catalog.products.schemas import Product
from catalog.products.service import ProductService
from catalog.seed import sample_products
from catalog.settings import CatalogSettings
from prodkit import App, Check, ProblemBody, create_app
from prodkit.breaker import watch_breakers
from prodkit.bulkhead import watch_bulkheads
from prodkit.cache import CacheMetrics
from prodkit.secrets_watch import SecretWatcher
from prodkit.upstream import Upstream, UpstreamMetrics

logger = structlog.get_logger("catalog")

_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": ProblemBody, "description": "Not now; `Retry-After` says when to come again"}
}


def create_catalog(settings: CatalogSettings) -> App:
    """The catalogue's application. Nothing is opened before it starts.

    SecretFileError when a password file cannot be read.
    """
    secrets = SecretWatcher()
    database = open_database(settings, secrets)
    caches = Caches(settings, secrets)

    @asynccontextmanager
    async def lifespan(_app: App) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(secrets.watching())
            await stack.enter_async_context(database.open())
            await stack.enter_async_context(caches.open())
            if pricing is not None:
                await stack.enter_async_context(pricing)
            stack.push_async_callback(imports.close)
            embedded = isinstance(database, EmbeddedDatabase)
            if embedded and settings.seed and (added := await products.seed(sample_products())):
                logger.info("sample products added", count=added)
            yield

    checks = [Check("database", database.ping)]
    if caches.store is not None:
        checks.append(Check("redis", caches.store.ping, critical=False))
    app = create_app(
        settings,
        checks=checks,
        lifespan=lifespan,
        fleet=caches.fleet,
        title="Product catalogue",
        description="Products to list, search, read, change and import, and what they cost.",
    )
    metrics = CacheMetrics(app.metrics.registry)
    products = ProductService(database, caches.make("products", Product | None, metrics))
    imports = ImportService(database, products)
    pricing = _pricing(settings, app)
    prices = PriceService(products, pricing, caches.make("offers", Offer | None, metrics))
    secrets.register(app.metrics.registry)
    database.register(app.metrics.registry)
    guarded = [database.breaker]
    if caches.store is not None:
        guarded.append(caches.store.breaker)
    if pricing is not None:
        guarded.append(pricing.breaker)
        watch_bulkheads(app.metrics.registry, [pricing.bulkhead])
    watch_breakers(app.metrics.registry, guarded)
    for router in (products_router(products), prices_router(prices), imports_router(imports)):
        app.include_router(router, responses=_UNAVAILABLE)
    return app


def _pricing(settings: CatalogSettings, app: App) -> Upstream | None:
    if not settings.pricing_url:
        return None
    return Upstream("pricing", settings.pricing_url, metrics=UpstreamMetrics(app.metrics.registry))
