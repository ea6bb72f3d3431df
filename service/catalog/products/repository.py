"""All database statements about products. Nothing else may contain any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.products.models import ProductRow
from catalog.products.schemas import Product, ProductInput
from catalog.table import utc


class DuplicateSkuError(Exception):
    """Another product has this SKU."""


class ProductRepository:
    """Statements inside of one session; the caller owns the transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(
        self, *, after: str = "", limit: int, search: str = "", category: str = ""
    ) -> Sequence[Product]:
        """At most `limit` products with an id behind `after`, in the order of ids, so of creation."""
        query = select(ProductRow).where(ProductRow.id > after).order_by(ProductRow.id).limit(limit)
        if category:
            query = query.where(ProductRow.category == category)
        if search:
            columns = (ProductRow.name, ProductRow.description, ProductRow.sku)
            query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
        rows = await self._session.scalars(query)
        return [_product(row) for row in rows]

    async def get(self, product_id: str) -> Product | None:
        """The product, or None."""
        row = await self._session.get(ProductRow, product_id)
        return None if row is None else _product(row)

    async def count(self) -> int:
        """How many products there are."""
        return await self._session.scalar(select(func.count()).select_from(ProductRow)) or 0

    async def add(self, product_id: str, given: ProductInput, now: datetime) -> Product:
        """Insert; `DuplicateSkuError` when the SKU is taken."""
        values = {"id": product_id, "version": 1, "created_at": now, "updated_at": now, **given.model_dump()}
        await self._write(insert(ProductRow).values(values), given.sku)
        return Product.model_validate(values)

    async def replace(
        self, product_id: str, given: ProductInput, *, version: int | None, now: datetime
    ) -> bool:
        """Overwrite if the product still has `version` (None: whatever it has). One statement, so no race."""
        statement = (
            update(ProductRow)
            .where(*_guard(product_id, version))
            .values(version=ProductRow.version + 1, updated_at=now, **given.model_dump())
            .execution_options(synchronize_session=False)
        )
        return await self._write(statement, given.sku) == 1

    async def upsert(
        self, given: Sequence[ProductInput], new_ids: Sequence[str], now: datetime
    ) -> tuple[int, Sequence[str]]:
        """Insert or overwrite by SKU. Returns how many are new, and the ids of those that were there."""
        skus = [item.sku for item in given]
        rows = await self._session.execute(
            select(ProductRow.sku, ProductRow.id).where(ProductRow.sku.in_(skus)).with_for_update()
        )
        known: dict[str, str] = {row.sku: row.id for row in rows}
        new = [
            {"id": new_id, "version": 1, "created_at": now, "updated_at": now, **item.model_dump()}
            for new_id, item in zip(new_ids, given, strict=True)
            if item.sku not in known
        ]
        if new:
            await self._session.execute(insert(ProductRow), new)
        for item in given:
            if item.sku in known:
                await self.replace(known[item.sku], item, version=None, now=now)
        return len(new), list(known.values())

    async def remove(self, product_id: str, *, version: int | None) -> bool:
        """Delete if the product still has `version` (None: whatever it has)."""
        statement = delete(ProductRow).where(*_guard(product_id, version))
        result: Any = await self._session.execute(statement.execution_options(synchronize_session=False))
        return bool(result.rowcount == 1)

    async def _write(self, statement: Any, sku: str) -> int:
        try:
            result: Any = await self._session.execute(statement)
        except IntegrityError as error:
            raise DuplicateSkuError(sku) from error
        return int(result.rowcount)


def _guard(product_id: str, version: int | None) -> list[Any]:
    guard = [ProductRow.id == product_id]
    return guard if version is None else [*guard, ProductRow.version == version]


def _product(row: ProductRow) -> Product:
    return Product(
        id=row.id,
        sku=row.sku,
        name=row.name,
        description=row.description,
        category=row.category,
        price_cents=row.price_cents,
        currency=row.currency,
        version=row.version,
        created_at=utc(row.created_at),
        updated_at=utc(row.updated_at),
    )
