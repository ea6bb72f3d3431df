"""Passwords and certificates are exchanged under the catalogue while it serves: nobody notices, and nothing is told.

Every secret has the word `canary` in it, so that one search finds any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis as driver

from catalog.database import migrate_database
from catalog.settings import CatalogSettings
from e2e.cluster.certificates import Authority
from tests.service.processes import ServiceProcess, eventually, run_service
from tests.service.prodkit.test_secrets_watch import Mount
from tests.service.real.servers import Server, install, postgres_server, psql, redis_server
from tests.service.real.test_collector import Collector, collector

__all__ = ["collector"]

GOAL_SECONDS = 10
LIST = "/products?limit=2"
OK = 200


class Shop:
    """A catalogue with everything around it, and what its clients saw."""

    def __init__(self, tmp_path: Path, postgres: Server, redis: Server) -> None:
        self.postgres = postgres
        self.redis = redis
        self.secrets = Mount(tmp_path / "secrets")
        self.failed: list[str] = []
        self.bodies: list[str] = []
        self.service: ServiceProcess | None = None

    async def get(self, path: str = LIST) -> int:
        assert self.service is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.service.port}", timeout=20) as client:
            reply = await client.get(path)
        self.bodies.append(f"{reply.headers}{reply.text}")
        return reply.status_code

    async def keep_asking(self) -> None:
        """One request after the other, until the end."""
        while True:
            if (status := await self.get()) != OK:
                self.failed.append(f"{status} {self.bodies[-1]}")
            await asyncio.sleep(0.02)

    async def connect_anew(self, connections: int) -> list[int]:
        """Make that many requests wait for a lock, so that each has a connection of its own."""
        address = f"host={self.postgres.directory} port={self.postgres.port} user=admin dbname=app"

        async def connected() -> bool:
            counted = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
            return int(await asyncio.to_thread(psql, self.postgres, counted)) >= connections

        with psycopg.connect(address) as holder:
            holder.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
            waiting = [asyncio.create_task(self.get()) for _ in range(connections)]
            with contextlib.suppress(AssertionError):  # what they come to says enough
                await eventually(connected, seconds=1.5, what=f"{connections} connections")
        return list(await asyncio.gather(*waiting))


@pytest.fixture
def right() -> Authority:
    return Authority("first")


@pytest.fixture
def shop(tmp_path: Path, right: Authority) -> Iterator[Shop]:
    tls = tmp_path / "tls"
    tls.mkdir()
    right.server("server", "127.0.0.1").write(tls, "server")
    with (
        postgres_server(tls=tls) as postgres,
        redis_server("requirepass canary-redis-1") as redis,
    ):
        psql(postgres, "ALTER ROLE app PASSWORD 'canary-database-1'")
        shop = Shop(tmp_path, postgres, redis)
        give(shop, "canary-database-1", "canary-redis-1", right)
        migrate_database(CatalogSettings.load(**where(shop)))
        yield shop


def give(shop: Shop, database: str, redis: str, *authorities: Authority) -> None:
    """What is mounted from now on."""
    bundle = b"".join(each.pair.certificate_pem for each in authorities)
    files: dict[str, str | bytes] = {"database": database, "redis": redis, "ca.crt": bundle}
    shop.secrets.write(**files)


def where(shop: Shop) -> dict[str, str]:
    folder = shop.secrets.directory
    return {
        "database_url": f"postgresql://app@127.0.0.1:{shop.postgres.port}/app",
        "database_password_file": str(folder / "database"),
        "database_ca_file": str(folder / "ca.crt"),
        "redis_url": f"redis://127.0.0.1:{shop.redis.port}",
        "redis_password_file": str(folder / "redis"),
    }


@contextlib.asynccontextmanager
async def serving(shop: Shop, collector: Collector, log: Path) -> AsyncIterator[None]:
    """The catalogue runs, traces everything, and somebody asks all the time."""
    env = {f"CATALOG_{name.upper()}": value for name, value in where(shop).items()} | {
        "CATALOG_PORT": "0",
        "CATALOG_ADMIN_PORT": "0",
        "CATALOG_HOST": "127.0.0.1",
        "CATALOG_OTLP_ENDPOINT": collector.endpoint,
        "CATALOG_TRACE_RATIO": "1",
        "CATALOG_OVERLOAD_LIMIT": "false",  # requests wait here because we hold a lock
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with run_service("-m", "catalog", log=log, env=env) as shop.service:
        asking = asyncio.create_task(shop.keep_asking())
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def test_secrets_are_exchanged_under_load_and_never_told(
    shop: Shop, collector: Collector, right: Authority, tmp_path: Path
) -> None:
    log = tmp_path / "service.log"
    async with serving(shop, collector, log):
        service = shop.service
        assert service is not None
        assert await shop.connect_anew(2) == [200] * 2

        psql(shop.postgres, "ALTER ROLE app PASSWORD 'canary-database-2'")
        give(shop, "canary-database-2", "canary-redis-1", right)
        assert await shop.connect_anew(4) == [200] * 4

        # The client trusts both before the server shows the other: that is how an authority is replaced.
        other = Authority("second")
        give(shop, "canary-database-2", "canary-redis-1", right, other)
        exchange_certificate(shop.postgres, other, tmp_path)
        await eventually(lambda: shows(shop.postgres, other), what="the server's new certificate")
        give(shop, "canary-database-2", "canary-redis-1", other)
        assert await shop.connect_anew(6) == [200] * 6

        with driver.Redis(port=shop.redis.port, password="canary-redis-1") as admin:
            admin.config_set("requirepass", "canary-redis-2")
            give(shop, "canary-database-2", "canary-redis-2", other)
            admin.client_kill_filter(_type="normal", skipme=True)
            await eventually(
                lambda: redis_is_used(shop, admin), seconds=GOAL_SECONDS, what="Redis by the new password"
            )
        assert shop.failed == []

        # Now a password that is wrong: what fails must not tell it either.
        psql(shop.postgres, "ALTER ROLE app PASSWORD 'canary-database-3'")
        give(shop, "canary-wrong", "canary-wrong", other)
        assert 503 in await shop.connect_anew(9)
        metrics = (await service.admin("/metrics")).text
        metrics += (await service.admin("/readyz?verbose")).text

        async def traced() -> bool:
            return "Status code    : Error" in collector.printed()

        await eventually(traced, what="the failed request's span")

    assert "canary" not in log.read_text()
    assert "canary" not in metrics
    assert "canary" not in collector.printed()
    assert "canary" not in "".join(shop.bodies)


def exchange_certificate(postgres: Server, authority: Authority, tmp_path: Path) -> None:
    """Another certificate of another authority, for connections from now on."""
    folder = tmp_path / "other"
    folder.mkdir()
    authority.server("server", "127.0.0.1").write(folder, "server")
    for name in ("server.crt", "server.key"):
        install(folder / name, postgres.directory / "data" / name, (postgres.directory / "data").owner())
    postgres.reload()


async def shows(postgres: Server, authority: Authority) -> bool:
    """Whether who trusts only this authority is let in."""
    ca_file = postgres.directory / "other-ca.crt"
    ca_file.write_bytes(authority.pair.certificate_pem)
    address = f"host=127.0.0.1 port={postgres.port} user=app dbname=app password=canary-database-2"
    try:
        psycopg.connect(f"{address} sslmode=verify-full sslrootcert={ca_file}").close()
    except psycopg.OperationalError:
        return False
    return True


async def redis_is_used(shop: Shop, admin: Any) -> bool:
    """A connection of the catalogue's that has done something since the old ones were ended."""
    await shop.get()
    clients = await asyncio.to_thread(admin.client_list)
    return any(client["cmd"] == "ping" for client in clients)
