"""Servers that the tests of this folder share; a test that stops one starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.real.servers import Server, postgres_server, redis_server


@pytest.fixture(scope="session")
def redis() -> Iterator[Server]:
    """A Redis that is never stopped."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL that is never stopped."""
    with postgres_server() as server:
        yield server
