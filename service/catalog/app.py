"""The catalogue put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from catalog.database import Database
from catalog.products.endpoints import products_router
from catalog.products.service import ProductService
from catalog.seed import sample_products
from catalog.settings import CatalogSettings
from prodkit import App, Check, create_app
from prodkit.cache import CacheMetrics, Policy, local_cache

logger = structlog.get_logger("catalog")


def create_catalog(settings: CatalogSettings) -> App:
    """The catalogue's application. Nothing is opened before it starts."""
    database = Database(settings.data_dir)

    @asynccontextmanager
    async def lifespan(_app: App) -> AsyncIterator[None]:
        async with database.open():
            if settings.seed and (added := await products.seed(sample_products())):
                logger.info("sample products added", count=added)
            yield

    app = create_app(
        settings,
        checks=[Check("database", database.ping)],
        lifespan=lifespan,
        title="Product catalogue",
        description="Products to list, search, read and change.",
    )
    cache = local_cache(
        "products", Policy(soft_seconds=settings.cache_seconds), metrics=CacheMetrics(app.metrics.registry)
    )
    products = ProductService(database, cache)
    app.include_router(products_router(products))
    return app
