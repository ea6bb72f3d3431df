"""Who answers is proved before a password is sent: a real PostgreSQL with right and wrong certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from e2e.cluster.certificates import Authority
from prodkit.database.postgres import DatabaseUrlError, PostgresOptions, parse_url, postgres_engine
from tests.service.real.servers import Server, postgres_server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.crt` of the server's authority, `other.crt` of another; the server's own for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority("right")
    (directory / "ca.crt").write_bytes(authority.pair.certificate_pem)
    (directory / "other.crt").write_bytes(Authority("other").pair.certificate_pem)
    authority.server("server", "127.0.0.1").write(directory, "server")
    return directory


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[Server]:
    """Speaks TLS and nothing else."""
    with postgres_server(tls=certificates) as server:
        yield server


async def version_of_tls(url: str, ca_file: Path) -> str:
    engine = postgres_engine(PostgresOptions(url, ca_file=str(ca_file)))
    try:
        async with engine.connect() as connection:
            statement = text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return str(await connection.scalar(statement))
    finally:
        await engine.dispose()


async def test_the_right_authority_and_name_connect_by_tls(server: Server, certificates: Path) -> None:
    url = f"postgresql://app:first@127.0.0.1:{server.port}/app"
    assert await version_of_tls(url, certificates / "ca.crt") == "TLSv1.3"


async def test_another_authority_is_refused(server: Server, certificates: Path) -> None:
    with pytest.raises(OperationalError, match="certificate verify failed"):
        await version_of_tls(
            f"postgresql://app:first@127.0.0.1:{server.port}/app", certificates / "other.crt"
        )


async def test_another_name_is_refused(server: Server, certificates: Path) -> None:
    with pytest.raises(OperationalError, match="does not match host name"):
        await version_of_tls(f"postgresql://app:first@localhost:{server.port}/app", certificates / "ca.crt")


async def test_a_server_without_tls_is_refused(postgres: Server, certificates: Path) -> None:
    with pytest.raises(OperationalError, match="server does not support SSL"):
        await version_of_tls(f"postgresql://app:first@127.0.0.1:{postgres.port}/app", certificates / "ca.crt")


async def test_this_server_refuses_plain_text(server: Server, certificates: Path) -> None:
    url = f"postgresql://app:first@127.0.0.1:{server.port}/app?sslmode=disable"
    with pytest.raises(OperationalError, match="no encryption"):
        await version_of_tls(url, certificates / "ca.crt")


def test_tls_is_verified_unless_the_address_says_otherwise() -> None:
    assert parse_url("postgresql://app@db/shop").query == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert parse_url("postgresql://app@db/shop", ca_file="/ca").query["sslrootcert"] == "/ca"
    assert parse_url("postgresql://app@db/shop?sslmode=disable").query == {"sslmode": "disable"}


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_production_takes_nothing_less(mode: str) -> None:
    with pytest.raises(DatabaseUrlError, match=f"sslmode '{mode}' does not prove who answers"):
        parse_url(f"postgresql://app:canary@db/shop?sslmode={mode}", only_verified=True)


@pytest.mark.parametrize(
    "url", ["canary", "mysql://app:canary@db/shop", "postgresql://app:canary@db", "://canary"]
)
def test_an_address_that_cannot_be_used_says_what_to_write(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match=r"write postgresql://user@host:5432/name") as caught:
        parse_url(url)
    assert "canary" not in str(caught.value)
