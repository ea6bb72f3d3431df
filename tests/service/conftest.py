"""Real servers that the service's tests share; a test that stops or changes one starts its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from catalog.database import migrate_database
from catalog.settings import CatalogSettings
from tests.service.real.servers import Server, postgres_server, psql, redis_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def redis() -> Iterator[Server]:
    """A Redis that is never stopped."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL that is never stopped; its database `app` has the catalogue's schema and stays empty."""
    with postgres_server() as server:
        migrate_database(CatalogSettings.load(database_url=postgres_url(server, "app")))
        yield server


@pytest.fixture
def database_url(postgres: Server) -> str:
    """Address of a database of this test's own, migrated and empty."""
    name = f"test{next(_numbers)}"
    psql(postgres, f"CREATE DATABASE {name} OWNER app TEMPLATE app")
    return postgres_url(postgres, name)


def postgres_url(server: Server, database: str) -> str:
    """Address with password, for a server without TLS."""
    return f"postgresql://app:first@127.0.0.1:{server.port}/{database}?sslmode=disable"
