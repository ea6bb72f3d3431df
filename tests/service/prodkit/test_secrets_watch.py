"""Secrets from mounted files: how they change, and that they are shown nowhere."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from e2e.cluster.certificates import Authority
from prodkit.secrets_watch import SecretFile, SecretFileError, SecretWatcher
from tests.service.processes import eventually


class Mount:
    """A directory as the kubelet keeps it: `..data` points to the current version, names point through it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._version = 0

    def write(self, **files: str | bytes) -> None:
        """Exchange all files at once."""
        self._version += 1
        version = self.directory / f"..{self._version}"
        version.mkdir(parents=True)
        for name, content in files.items():
            (version / name).write_bytes(content.encode() if isinstance(content, str) else content)
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        (self.directory / "..new").symlink_to(version.name)
        (self.directory / "..new").replace(self.directory / "..data")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    mount = Mount(tmp_path / "mount")
    mount.write(password="first\n")
    return mount


def test_a_value_is_read_without_its_newline_and_never_shown(mount: Mount) -> None:
    secret = SecretFile("database", mount.directory / "password")
    assert secret.value() == "first"
    assert "first" not in repr(secret) + str(secret)


def test_a_turned_link_brings_the_new_value_and_keeps_the_old_one_at_hand(mount: Mount) -> None:
    secret = SecretFile("database", mount.directory / "password")
    assert (secret.reload(), secret.candidates()) == (False, ("first",))
    mount.write(password="second")
    assert (secret.reload(), secret.candidates()) == (True, ("second", "first"))


@pytest.mark.parametrize("broken", ["", "\n", b"\xff\xfe"])
def test_a_value_that_cannot_be_used_leaves_the_old_one_in_use(mount: Mount, broken: str | bytes) -> None:
    registry = CollectorRegistry()
    watcher = SecretWatcher()
    secret = watcher.file("database", mount.directory / "password")
    watcher.register(registry)
    mount.write(password=broken)
    with structlog.testing.capture_logs() as logs:
        watcher.look()
        watcher.look()
    assert secret.value() == "first"
    assert [line["log_level"] for line in logs] == ["warning"]  # said once
    labels = {"secret": "database", "result": "failed"}
    assert registry.get_sample_value("secret_reloads_total", labels) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory): mount the Secret there"),
        (b"", "is empty"),
        (b"\xff", "is not text"),
    ],
)
def test_a_file_that_cannot_be_used_at_start_is_named(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretFileError) as caught:
        SecretFile("database", path)
    assert str(caught.value).startswith(f"database: '{path}' {says}")


async def test_watching_takes_the_new_value_and_says_so_without_it(mount: Mount) -> None:
    registry = CollectorRegistry()
    watcher = SecretWatcher(poll_seconds=0.01)
    secret = watcher.file("database", mount.directory / "password")
    watcher.register(registry)
    with structlog.testing.capture_logs() as logs:
        async with watcher.watching():
            mount.write(password="canary")

            async def changed() -> bool:
                return secret.value() == "canary"

            await eventually(changed, what="the new value")
    assert [(line["event"], line["secret"]) for line in logs] == [
        ("secret changed, the new value is in use", "database")
    ]
    exposed = generate_latest(registry).decode()
    assert 'secret_reloads_total{result="changed",secret="database"} 1.0' in exposed
    assert "canary" not in exposed + str(logs)


async def test_a_new_certificate_serves_new_connections_and_open_ones_stay(tmp_path: Path) -> None:
    mount, authority = Mount(tmp_path / "tls"), Authority("test")

    def rotate() -> None:
        pair = authority.server("server", "127.0.0.1")
        mount.write(**{"server.crt": pair.certificate_pem, "server.key": pair.key_pem})

    rotate()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    watcher = SecretWatcher()
    watcher.certificate("tls", server_context, mount.directory / "server.crt", mount.directory / "server.key")
    client_context = ssl.create_default_context(cadata=authority.pair.certificate_pem.decode())

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context)
        return reader, writer, int(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16)

    reader, writer, first = await connect()
    rotate()
    watcher.look()
    _, other, second = await connect()
    assert first != second
    writer.write(b"still here\n")
    assert await reader.readline() == b"still here\n"
    # A certificate whose key has not come yet: what worked goes on to work, and the pair is taken once it fits.
    mount.write(
        **{
            "server.crt": authority.server("server", "127.0.0.1").certificate_pem,
            "server.key": b"nonsense",
        }
    )
    watcher.look()
    _, third, serial = await connect()
    assert serial == second
    rotate()
    watcher.look()
    _, fourth, serial = await connect()
    assert serial not in (first, second)
    for each in (writer, other, third, fourth):
        each.close()
        await each.wait_closed()
    server.close()
    await server.wait_closed()
