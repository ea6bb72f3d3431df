"""All database statements about imports. Nothing else may contain any."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.imports.models import ImportRow
from catalog.imports.schemas import Import, ImportState
from catalog.table import utc


class ImportRepository:
    """Statements inside of one session; the caller owns the transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, import_id: str, total: int, now: datetime) -> Import:
        """A new import that runs."""
        values = {"created": 0, "updated": 0, "started_at": now, "seen_at": now, "total": total}
        await self._session.execute(
            insert(ImportRow).values(id=import_id, state=ImportState.RUNNING, **values)
        )
        return Import.model_validate({"id": import_id, "state": ImportState.RUNNING, **values})

    async def advance(self, import_id: str, now: datetime, *, created: int = 0, updated: int = 0) -> None:
        """Count what was written; in the same transaction as the products."""
        await self._session.execute(
            update(ImportRow)
            .where(ImportRow.id == import_id)
            .values(created=ImportRow.created + created, updated=ImportRow.updated + updated, seen_at=now)
        )

    async def finish(self, import_id: str, state: ImportState, now: datetime) -> None:
        """It has ended like this."""
        await self._session.execute(
            update(ImportRow).where(ImportRow.id == import_id).values(state=state, seen_at=now)
        )

    async def get(self, import_id: str) -> Import | None:
        """The import, or None."""
        row = await self._session.get(ImportRow, import_id)
        if row is None:
            return None
        return Import(
            id=row.id,
            state=ImportState(row.state),
            total=row.total,
            created=row.created,
            updated=row.updated,
            started_at=utc(row.started_at),
            seen_at=utc(row.seen_at),
        )
