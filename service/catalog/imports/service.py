"""Imports: a batch a transaction, progress written with it, so that any replica can tell how far one is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from catalog.imports.repository import ImportRepository
from catalog.imports.schemas import Import, ImportState
from catalog.products.schemas import ProductInput
from catalog.products.service import ProductService
from prodkit import Problem
from prodkit.correlation import new_id
from prodkit.database import Database

logger = structlog.get_logger("catalog.imports")

_BATCH = 100
_MOST_RUNNING = 4
"""In one replica: an import is work in the background, requests go first."""
_SILENT = timedelta(seconds=60)
"""A running import without progress for so long has lost its replica."""


class ImportService:
    """Starts imports and tells how far they are."""

    def __init__(self, database: Database, products: ProductService) -> None:
        self._database = database
        self._products = products
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, items: Sequence[ProductInput]) -> Import:
        """Begin an import. 422 when an SKU is in it twice, 503 when enough are running."""
        _refuse_twins(items)
        if len(self._running) >= _MOST_RUNNING:
            raise Problem(503, "enough imports are running: try again later", headers={"Retry-After": "5"})
        async with self._database.session() as session:
            begun = await ImportRepository(session).add(new_id(), len(items), datetime.now(UTC))
        task = asyncio.create_task(self._run(begun.id, items))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return begun

    async def get(self, import_id: str) -> Import:
        """How far it is; 404 when there is none."""
        async with self._database.session() as session:
            found = await ImportRepository(session).get(import_id)
        if found is None:
            raise Problem(404, f"there is no import {import_id!r}")
        if found.state is ImportState.RUNNING and datetime.now(UTC) - found.seen_at > _SILENT:
            return found.model_copy(update={"state": ImportState.INTERRUPTED})
        return found

    async def close(self) -> None:
        """The process leaves: what is not done by now is interrupted."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, import_id: str, items: Sequence[ProductInput]) -> None:
        try:
            for start in range(0, len(items), _BATCH):
                await self._write(import_id, items[start : start + _BATCH])
        except asyncio.CancelledError:
            await self._finish(import_id, ImportState.INTERRUPTED)
            raise
        except Exception as error:  # noqa: BLE001  nobody waits for this task: its state has to say so
            logger.warning("import failed", import_id=import_id, error=type(error).__name__)
            await self._finish(import_id, ImportState.FAILED)
        else:
            await self._finish(import_id, ImportState.DONE)

    async def _write(self, import_id: str, items: Sequence[ProductInput]) -> None:
        async with self._database.session() as session:
            created, changed = await self._products.write_all(session, items)
            await ImportRepository(session).advance(
                import_id, datetime.now(UTC), created=created, updated=len(changed)
            )
        await self._products.forget(changed)

    async def _finish(self, import_id: str, state: ImportState) -> None:
        try:
            async with self._database.session() as session:
                await ImportRepository(session).finish(import_id, state, datetime.now(UTC))
        except Problem:  # the database is away: without progress it counts as interrupted after a while
            logger.warning("end of an import not written", import_id=import_id, state=state)


def _refuse_twins(items: Sequence[ProductInput]) -> None:
    twins = [sku for sku, count in Counter(item.sku for item in items).items() if count > 1]
    if twins:
        places = [(number, item.sku) for number, item in enumerate(items) if item.sku in twins]
        raise Problem(
            422,
            "an SKU can be in an import once: leave the others out",
            errors=[(f"body.items.{number}.sku", f"{sku!r} is there twice") for number, sku in places[:20]],
        )
