"""Which database the catalogue uses: PostgreSQL when it has an address, else an embedded SQLite.

The embedded one is for running the catalogue without anything else: one process, data as durable as its directory.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, text

from catalog import migrations, tables
from catalog.settings import CatalogSettings
from prodkit.database import Database
from prodkit.database.limits import statement_limit
from prodkit.database.migrations import check_schema, migrate, revision, upgrade
from prodkit.database.postgres import PostgresOptions, postgres_engine, postgres_engine_for_migrations
from prodkit.database.sqlite import sqlite_engine
from prodkit.secrets_watch import SecretFile, SecretWatcher

logger = structlog.get_logger("catalog.database")

_FILE = "catalog.sqlite3"


class DataDirError(Exception):
    """The named data directory cannot be used; the message says what to do."""


class PostgresDatabase(Database):
    """The shared database. Its schema is made by `python -m catalog migrate`, never here."""

    def __init__(self, options: PostgresOptions) -> None:
        super().__init__(lambda: postgres_engine(options))

    async def ping(self) -> None:
        """Raise when the database does not answer, or has a schema that this build does not serve on."""
        with statement_limit(0.4):
            async with self.session() as session:
                await check_schema(session, migrations.ACCEPTED)


class EmbeddedDatabase(Database):
    """SQLite, made and migrated at start, in the first place that can be written."""

    def __init__(self, data_dir: str = "") -> None:
        super().__init__(lambda: sqlite_engine(self._file))
        self._data_dir = data_dir
        self._temporary: Path | None = None
        self._file: Path | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Find a place, connect, make the schema. A temporary place is removed at the end."""
        self._file = self._place()
        try:
            async with super().open():
                async with self.engine.begin() as connection:
                    await connection.run_sync(_make_schema)
                yield
        finally:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)

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


def open_database(settings: CatalogSettings, secrets: SecretWatcher) -> PostgresDatabase | EmbeddedDatabase:
    """The database that the settings name. SecretFileError when its password cannot be read."""
    if not settings.database_url.get_secret_value():
        return EmbeddedDatabase(settings.data_dir)
    password = None
    if settings.database_password_file:
        password = secrets.file("database-password", settings.database_password_file)
    return PostgresDatabase(postgres_options(settings, password))


def postgres_options(settings: CatalogSettings, password: SecretFile | None) -> PostgresOptions:
    """How to reach the shared database."""

    def passwords() -> Sequence[str]:
        if password is None:
            return ()
        password.reload()  # a file read costs nothing beside a connection, and the newest is most likely right
        return password.candidates()

    return PostgresOptions(
        settings.database_url.get_secret_value(),
        ca_file=settings.database_ca_file,
        passwords=passwords,
        application=socket.gethostname(),  # in a cluster the name of the pod
        pool_size=settings.database_pool,
    )


def migrate_database(settings: CatalogSettings) -> tuple[str, str]:
    """Bring the shared database to this build's schema. Returns the revisions before and after."""
    password = None
    if settings.database_password_file:
        password = SecretFile("database-password", settings.database_password_file)
    engine = postgres_engine_for_migrations(postgres_options(settings, password))
    return migrate(engine, migrations.DIRECTORY, target=migrations.HEAD)


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


def _make_schema(connection: Connection) -> None:
    """Make the schema, or bring that of an older build up to date.

    A new one is made without Alembic: importing that would cost a third of the start.
    """
    found = revision(connection)
    if found and found != migrations.HEAD:
        upgrade(connection, migrations.DIRECTORY, target=migrations.HEAD)
    tables.METADATA.create_all(connection)
    if not found:
        connection.execute(
            text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": migrations.HEAD})
