"""The embedded database: SQLite, made at start, in the first place that can be written.

It is for running the catalogue without anything else: one process, data as durable as its directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import AsyncAdaptedQueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

logger = structlog.get_logger("catalog.database")

_FILE = "catalog.sqlite3"
_BUSY_MS = 5_000  # a writer waits this long for another before it gives up
_POOL = 5


class Table(DeclarativeBase):
    """Base of all tables."""


class DataDirError(Exception):
    """The named data directory cannot be used; the message says what to do."""


class Database:
    """Engine and sessions. Nothing is opened before `open()`."""

    def __init__(self, data_dir: str = "") -> None:
        self._data_dir = data_dir
        self._temporary: Path | None = None
        self._engine: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Find a place, connect, make the schema. A temporary place is removed at the end."""
        file = self._place()
        engine = _file_engine(file) if file is not None else _memory_engine()
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Table.metadata.create_all)
            yield
        finally:
            await engine.dispose()
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back on an error."""
        if self._sessions is None:
            raise RuntimeError("the database is not open: use it inside of Database.open()")
        async with self._sessions.begin() as session:
            yield session

    async def ping(self) -> None:
        """Raise when the database does not answer."""
        async with self.session() as session:
            await session.execute(text("SELECT 1"))

    def _place(self) -> Path | None:
        """The database file; None when no directory can be written."""
        if self._data_dir:
            return usable_directory(Path(self._data_dir)) / _FILE
        try:
            self._temporary = Path(tempfile.mkdtemp(prefix="catalog-"))
        except OSError as error:
            logger.warning(
                "no writable directory: the database lives in memory; set CATALOG_DATA_DIR to keep it",
                reason=error.strerror or str(error),
            )
            return None
        logger.info(
            "the database is temporary; set CATALOG_DATA_DIR to keep it", directory=str(self._temporary)
        )
        return self._temporary / _FILE


def usable_directory(directory: Path) -> Path:
    """Make the directory if it is not there; `DataDirError` when it cannot be made or written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(
            f"CATALOG_DATA_DIR: {str(directory)!r} cannot be made ({error.strerror}): name another"
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DataDirError(
            f"CATALOG_DATA_DIR: {str(directory)!r} cannot be written: change its owner or name another"
        )
    return directory


def _file_engine(file: Path) -> AsyncEngine:
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
