"""Schema migrations: run by a job, one at a time; a serving process only looks whether they have run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncSession

LOCK = 0x70726F646B6974  # "prodkit": the same for everybody who migrates
_WAIT_SECONDS = 120
"""Longest wait for another migration to end."""
_LOCK_SECONDS = 5
"""A migration that waits longer for a table gives up: behind it every query of the service would queue."""


class SchemaError(Exception):
    """The database has a schema that this build does not work with."""


def migrate(engine: Engine, directory: Path, *, target: str = "head") -> tuple[str, str]:
    """Bring the schema to `target`. Returns the revisions before and after; empty is no schema.

    `directory` has Alembic's `env.py`, which gets the connection as `config.attributes["connection"]`.
    """
    with engine.connect() as connection, _alone(connection):
        before = revision(connection)
        connection.commit()
        upgrade(connection, directory, target=target)
        connection.commit()
        after = revision(connection)
        connection.commit()
    return before, after


def upgrade(connection: Connection, directory: Path, *, target: str = "head") -> None:
    """Run the missing migrations on a connection that nobody else migrates by."""
    from alembic import command  # noqa: PLC0415  only who migrates pays for it
    from alembic.config import Config  # noqa: PLC0415  as above

    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def revision(connection: Connection) -> str:
    """Revision of the schema; empty when it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.scalar(text("SELECT max(version_num) FROM alembic_version")) or ""


async def check_schema(session: AsyncSession, accepted: Collection[str]) -> None:
    """SchemaError unless the database's revision is one that this build accepts."""
    found = await session.scalar(text("SELECT max(version_num) FROM alembic_version"))
    if found not in accepted:
        raise SchemaError(
            f"the database is at revision {found!r}, this build needs one of {sorted(accepted)}: "
            "run its migrate command, or a build that fits"
        )


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Hold the lock of migrations; SQLite has one of its own."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text(f"SET lock_timeout = '{_WAIT_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
    connection.execute(text(f"SET lock_timeout = '{_LOCK_SECONDS}s'"))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        connection.commit()
