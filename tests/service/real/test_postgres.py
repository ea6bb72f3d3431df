"""PostgreSQL that is slow, full, hangs, or has another schema."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from prometheus_client import CollectorRegistry
from sqlalchemy import create_engine, text

from catalog import migrations, tables
from catalog.database import PostgresDatabase
from prodkit import Problem
from prodkit.breaker import BreakerState
from prodkit.database.migrations import LOCK, SchemaError, revision
from prodkit.database.postgres import PostgresOptions, parse_url
from tests.service.conftest import postgres_url
from tests.service.processes import ROOT, eventually
from tests.service.real.servers import Server, postgres_server, psql


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresDatabase]:
    """The catalogue's database with other options."""
    database = PostgresDatabase(PostgresOptions(url, **options))
    async with database.open():
        yield database


def migrated(url: str) -> str:
    """A database with the schema of this build."""
    job = migrate(url)
    _, said = job.communicate(timeout=60)
    assert job.returncode == 0, said
    return url


def migrate(url: str) -> subprocess.Popen[str]:
    """`python -m catalog migrate`; the caller has to read what it says."""
    return subprocess.Popen(
        [sys.executable, "-m", "catalog", "migrate"],
        env={"PYTHONPATH": str(ROOT / "service"), "CATALOG_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fresh(postgres: Server, name: str) -> str:
    psql(postgres, f"CREATE DATABASE {name} OWNER app")
    return postgres_url(postgres, name)


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(database_url: str) -> None:
    async with opened(database_url, statement_seconds=0.2) as database:
        with pytest.raises(Problem) as caught:
            async with database.session() as session:
                await session.execute(text("SELECT pg_sleep(20)"))
        assert (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "1"})
        await database.ping()  # the connection is still good


async def test_a_full_pool_is_said_at_once(database_url: str) -> None:
    registry = CollectorRegistry()
    async with opened(database_url, pool_size=1, pool_seconds=0.05) as database:
        database.register(registry)
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
            assert registry.get_sample_value("database_pool_in_use") == 1
            with pytest.raises(Problem, match="503"):
                await database.ping()
        assert registry.get_sample_value("database_pool_in_use") == 0
        assert registry.get_sample_value("database_pool_timeouts") == 1
        await database.ping()


async def test_a_statement_that_is_wrong_does_not_speak_against_the_database(database_url: str) -> None:
    async with opened(database_url) as database:
        for _ in range(10):
            with pytest.raises(Exception, match="no_such_table"):
                async with database.session() as session:
                    await session.execute(text("SELECT * FROM no_such_table"))
        assert database.breaker.state is BreakerState.CLOSED


async def test_a_server_that_hangs_is_given_up_in_time_and_used_again_when_it_is_back() -> None:
    with postgres_server() as server:
        url = migrated(postgres_url(server, "app"))
        async with opened(url, statement_seconds=0.1, connect_seconds=2, pool_size=2) as database:
            await database.ping()
            server.pause()

            async def open_breaker() -> bool:
                with pytest.raises(Problem):
                    await database.ping()
                return database.breaker.state is BreakerState.OPEN

            await eventually(open_breaker, seconds=60, what="the breaker open")
            server.resume()

            async def back() -> bool:
                try:
                    await database.ping()
                except Problem:
                    return False
                return True

            await eventually(back, seconds=60, what="the database back")


async def test_connections_that_the_server_closed_are_nobodys_error(
    postgres: Server, database_url: str
) -> None:
    async with opened(database_url) as database:
        await database.ping()
        psql(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        await database.ping()


def test_of_several_migrations_at_once_one_does_the_work(postgres: Server) -> None:
    url = fresh(postgres, "together")
    jobs = [migrate(url) for _ in range(3)]
    said = sorted(job.communicate(timeout=60)[0] for job in jobs)
    assert [job.returncode for job in jobs] == [0, 0, 0]
    head = f"the database is at revision {migrations.HEAD}, it was at"
    assert said == [f"{head} {migrations.HEAD}\n"] * 2 + [f"{head} none\n"]


def test_a_migration_waits_for_the_lock(postgres: Server) -> None:
    url = fresh(postgres, "locked")
    engine = create_engine(parse_url(url))
    with engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        job = migrate(url)
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        deadline = time.monotonic() + 30
        while not other.scalar(waiting):
            assert time.monotonic() < deadline, "the job does not wait for the lock"
        assert job.poll() is None
        assert revision(other) == ""
    engine.dispose()
    job.communicate(timeout=60)
    assert job.returncode == 0


def test_the_migrations_make_what_the_models_say(postgres: Server) -> None:
    url = migrated(fresh(postgres, "compared"))
    engine = create_engine(parse_url(url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.METADATA) == []
        assert revision(connection) == migrations.HEAD
    engine.dispose()


def test_a_migration_that_fails_is_one_line_and_exit_code_1() -> None:
    job = migrate("postgresql://app:canary@127.0.0.1:1/app?sslmode=disable")
    _, said = job.communicate(timeout=60)
    assert job.returncode == 1
    assert said.startswith(f"the migration to {migrations.HEAD} failed, run it again: OperationalError")
    assert len(said.splitlines()) == 1
    assert "canary" not in said


async def test_a_schema_that_this_build_does_not_know_is_not_served_on(database_url: str) -> None:
    async with opened(database_url) as database:
        await database.ping()
        for found, accepted in (("0001", False), ("0003", True), ("0004", False)):
            async with database.session() as session:
                await session.execute(
                    text("UPDATE alembic_version SET version_num = :found"), {"found": found}
                )
            if accepted:
                await database.ping()
            else:
                with pytest.raises(SchemaError, match=f"is at revision '{found}'.*run its migrate command"):
                    await database.ping()


async def test_no_wait_is_left_behind(database_url: str) -> None:
    """A caller that goes away gives its connection back."""
    async with opened(database_url, pool_size=1) as database:
        async with asyncio.timeout(10):
            slow = asyncio.create_task(_sleep_in(database))
            await asyncio.sleep(0)
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)
        await database.ping()


async def _sleep_in(database: PostgresDatabase) -> None:
    async with database.session() as session:
        await session.execute(text("SELECT pg_sleep(2)"))
