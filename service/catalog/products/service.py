"""What can be done with products, whatever the way in. Raises `Problem` for what the caller can change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.products.repository import DuplicateSkuError, ProductRepository
from catalog.products.schemas import Product, ProductInput, ProductPage
from prodkit import Problem
from prodkit.cache import Cache
from prodkit.correlation import new_id
from prodkit.database import Database

_EXPORT_BATCH = 100


class ProductService:
    """Products in a database, single reads through a cache."""

    def __init__(self, database: Database, cache: Cache[Product | None]) -> None:
        self._database = database
        self._cache = cache

    async def page(self, *, cursor: str, limit: int, search: str, category: str) -> ProductPage:
        """One page in the order of creation."""
        async with self._database.session() as session:
            found = await ProductRepository(session).list(
                after=cursor, limit=limit + 1, search=search, category=category
            )
        items = list(found[:limit])
        return ProductPage(items=items, next_cursor=items[-1].id if len(found) > limit else None)

    async def export(self) -> AsyncIterator[Product]:
        """All products, read in batches: no transaction stays open while a slow client reads."""
        last = ""
        while True:
            async with self._database.session() as session:
                batch = await ProductRepository(session).list(after=last, limit=_EXPORT_BATCH)
            for product in batch:
                yield product
            if len(batch) < _EXPORT_BATCH:
                return
            last = batch[-1].id

    async def get(self, product_id: str) -> Product:
        """The product; 404 when there is none."""
        product = await self._cache.get(product_id, lambda: self._read(product_id))
        if product is None:
            raise _missing(product_id)
        return product

    async def create(self, given: ProductInput) -> Product:
        """A new product; 409 when the SKU is taken."""
        try:
            async with self._database.session() as session:
                return await ProductRepository(session).add(new_id(), given, datetime.now(UTC))
        except DuplicateSkuError:
            raise _duplicate(given.sku) from None

    async def replace(self, product_id: str, given: ProductInput, *, version: int | None) -> Product:
        """Overwrite; 404 when it is not there, 412 when somebody was faster, 409 when the SKU is taken."""
        try:
            async with self._database.session() as session:
                repository = ProductRepository(session)
                written = await repository.replace(product_id, given, version=version, now=datetime.now(UTC))
                product = await repository.get(product_id)
        except DuplicateSkuError:
            raise _duplicate(given.sku) from None
        finally:
            await self._cache.forget(product_id)
        return _changed(product_id, product, written=written)

    async def remove(self, product_id: str, *, version: int | None) -> None:
        """Delete; 404 when it is not there, 412 when somebody else was faster."""
        async with self._database.session() as session:
            repository = ProductRepository(session)
            removed = await repository.remove(product_id, version=version)
            left = None if removed else await repository.get(product_id)
        await self._cache.forget(product_id)
        if not removed:
            _changed(product_id, left, written=False)

    async def seed(self, samples: Iterable[ProductInput]) -> int:
        """Put samples into an empty catalogue. Returns how many."""
        added = 0
        async with self._database.session() as session:
            repository = ProductRepository(session)
            if await repository.count():
                return 0
            for sample in samples:
                await repository.add(new_id(), sample, datetime.now(UTC))
                added += 1
        return added

    async def write_all(
        self, session: AsyncSession, items: Sequence[ProductInput]
    ) -> tuple[int, Sequence[str]]:
        """Create or replace by SKU in the caller's transaction. Returns how many are new, and the ids of the
        others: hand them to `forget` once the transaction is through."""
        ids = [new_id() for _ in items]
        return await ProductRepository(session).upsert(items, ids, datetime.now(UTC))

    async def forget(self, product_ids: Iterable[str]) -> None:
        """These have changed: read them again."""
        for product_id in product_ids:
            await self._cache.forget(product_id)

    async def _read(self, product_id: str) -> Product | None:
        async with self._database.session() as session:
            return await ProductRepository(session).get(product_id)


def _changed(product_id: str, product: Product | None, *, written: bool) -> Product:
    if product is None:
        raise _missing(product_id)
    if not written:
        raise Problem(
            412,
            f"the product is at version {product.version} by now: read it again and repeat the change on it",
            headers={"ETag": f'"{product.version}"'},
        )
    return product


def _missing(product_id: str) -> Problem:
    return Problem(404, f"there is no product {product_id!r}")


def _duplicate(sku: str) -> Problem:
    return Problem(
        409, f"another product has the SKU {sku!r}: choose another", errors=[("body.sku", "is taken")]
    )
