"""A relational database behind SQLAlchemy 2: PostgreSQL where it matters, SQLite where nothing is set up.

    database = Database(partial(postgres_engine, PostgresOptions(url)))
    async with database.open():
        async with database.session() as session:     # one transaction
            await session.execute(...)

Drivers are imported when an engine is made, so a service without PostgreSQL does not pay for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from prodkit.breaker import Breaker, BreakerOpenError
from prodkit.bulkhead import unavailable
from prodkit.database.limits import statement_limit


class Database:
    """Engine, sessions and what goes wrong with them. Nothing is opened before `open()`."""

    def __init__(
        self,
        make_engine: Callable[[], AsyncEngine],
        *,
        breaker: Breaker | None = None,
    ) -> None:
        self.breaker = breaker or Breaker("database")
        """Open while the database does not answer: callers get their 503 at once."""
        self._make_engine = make_engine
        self._engine: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None
        self._pool_timeouts = 0

    @property
    def engine(self) -> AsyncEngine:
        """The engine; RuntimeError outside of `open()`."""
        if self._engine is None:
            raise RuntimeError("the database is not open: use it inside of Database.open()")
        return self._engine

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Make the engine (which opens no connection yet), close all connections at the end."""
        self._engine = self._make_engine()
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        try:
            yield
        finally:
            await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back on an error.

        Problem 503 with Retry-After when the database does not answer or the pool has no connection in time.
        """
        if self._sessions is None:
            raise RuntimeError("the database is not open: use it inside of Database.open()")
        try:
            with self.breaker.call(speaks_against_the_database):
                async with self._sessions.begin() as session:
                    yield session
        except BreakerOpenError as error:
            raise unavailable("database", retry_seconds=error.retry_seconds) from None
        except exc.TimeoutError as error:
            self._pool_timeouts += 1
            raise unavailable("database") from error
        except Exception as error:
            if speaks_against_the_database(error):
                raise unavailable("database") from error
            raise

    async def ping(self) -> None:
        """Raise when the database does not answer, within the half second that a health check waits."""
        with statement_limit(0.4):
            async with self.session() as session:
                await session.execute(text("SELECT 1"))

    def register(self, registry: CollectorRegistry) -> None:
        """Add `database_pool_in_use`, `database_pool_size` and `database_pool_timeouts` to a registry."""
        for name, what, read in (
            ("in_use", "Connections lent out", "checkedout"),
            ("size", "Connections that the pool may have", "size"),
        ):
            gauge = Gauge(f"database_pool_{name}", what, registry=registry)
            gauge.set_function(partial(self._pool, read))
        Gauge(
            "database_pool_timeouts", "Calls without a connection since the start", registry=registry
        ).set_function(lambda: self._pool_timeouts)

    def _pool(self, read: str) -> float:
        pool: Any = self._engine.pool if self._engine is not None else None
        return float(getattr(pool, read)()) if hasattr(pool, read) else 0.0


def speaks_against_the_database(error: Exception) -> bool:
    """Whether an error means that the database does not work, not that a statement was wrong."""
    if isinstance(error, exc.TimeoutError):
        return True  # no connection became free
    return isinstance(error, exc.OperationalError | exc.InterfaceError) or (
        isinstance(error, exc.DBAPIError) and error.connection_invalidated
    )
