"""SQLite for one process without any set-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_BUSY_MS = 5_000  # a writer waits this long for another before it gives up
_POOL = 5


def sqlite_engine(file: Path | None) -> AsyncEngine:
    """An engine on `file`; None keeps everything in memory."""
    if file is None:
        return _memory_engine()
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{file}", pool_size=_POOL, max_overflow=0, pool_timeout=_BUSY_MS / 1000
    )
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def _memory_engine() -> AsyncEngine:
    # One connection is the whole database, so there must be exactly one and it must never be replaced.
    return create_async_engine(
        "sqlite+aiosqlite://",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_BUSY_MS / 1000,
    )


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
