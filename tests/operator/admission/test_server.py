"""The endpoint over TLS: certificates that change under load, and what it says to odd callers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from prometheus_client import REGISTRY

from e2e.cluster.certificates import Authority
from productionservice.admission import certificate, server
from productionservice.admission.certificate import ServingCertificate

HOST = "127.0.0.1"
AUTHORITY = Authority("webhooks")
REVIEW = {"request": {"uid": "7", "object": {"metadata": {"name": "catalog"}}}}


class Mounted:
    """A folder as the kubelet makes it of a Secret: `tls.crt` → `..data/tls.crt` → a folder of one generation."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._generations = folder, 0
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data") / name)

    def put(self, *, key: Authority = AUTHORITY) -> None:
        """Another certificate; with another authority the key does not fit it."""
        self._generations += 1
        new = self.folder / f"..{self._generations}"
        new.mkdir()
        pair, other = AUTHORITY.server("operator", HOST), key.server("operator", HOST)
        (new / "tls.crt").write_bytes(pair.certificate_pem)
        (new / "tls.key").write_bytes((pair if key is AUTHORITY else other).key_pem)
        (self.folder / "..new").symlink_to(new.name)
        (self.folder / "..new").replace(self.folder / "..data")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


def trusting(maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.pair.certificate_pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.maximum_version = maximum
    return context


@contextlib.asynccontextmanager
async def serving(folder: Path, advise: Any = lambda _: ["look out"]) -> AsyncIterator[str]:
    """The URL of a running webhook."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    async with server.serve(advise, folder, HOST, port):
        yield f"https://{HOST}:{port}{server.PATH}"


async def post(url: str, content: Any = REVIEW, context: ssl.SSLContext | None = None) -> tuple[int, Any]:
    """One request on a connection of its own."""
    connector = aiohttp.TCPConnector(force_close=True)
    data = {"data": content} if isinstance(content, bytes) else {"json": content}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(url, ssl=context or trusting(), **data) as response,
    ):
        return response.status, await response.json()


async def serial(url: str) -> str:
    """Serial number of the certificate that is served."""
    host, port = url.removeprefix("https://").partition("/")[0].split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting())
    peer: Mapping[str, Any] = writer.get_extra_info("peercert")
    writer.close()
    return str(peer["serialNumber"])


def counted(code: str) -> float:
    labels = {"webhook": server.PATH, "code": code}
    return REGISTRY.get_sample_value("controller_runtime_webhook_requests_total", labels) or 0.0


async def test_a_review_is_answered_and_counted(mounted: Mounted) -> None:
    mounted.put()
    before = counted("200")
    async with serving(mounted.folder) as url:
        status, said = await post(url)

    assert (status, said["response"]) == (200, {"uid": "7", "allowed": True, "warnings": ["look out"]})
    assert counted("200") == before + 1
    in_flight = "controller_runtime_webhook_requests_in_flight"
    assert REGISTRY.get_sample_value(in_flight, {"webhook": server.PATH}) == 0
    latency = "controller_runtime_webhook_latency_seconds_count"
    assert (REGISTRY.get_sample_value(latency, {"webhook": server.PATH}) or 0) >= 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"request": {}}', b"\xff"])
async def test_what_is_no_review_is_answered_with_400(mounted: Mounted, content: bytes) -> None:
    mounted.put()
    async with serving(mounted.folder) as url:
        status, said = await post(url, content)

    assert status == 400
    assert said["error"]


async def test_a_fault_of_ours_is_a_500_and_the_next_review_is_answered(mounted: Mounted) -> None:
    mounted.put()
    faults = [RuntimeError("ours")]

    def advise(_: Any) -> list[str]:
        if faults:
            raise faults.pop()
        return []

    async with serving(mounted.folder, advise) as url:
        with structlog.testing.capture_logs() as lines:
            assert (await post(url))[0] == 500
        assert (await post(url))[0] == 200
    assert [(line["log_level"], line["review"]) for line in lines] == [("error", "7")], "which one it was"


async def test_certificates_change_under_load_without_a_failed_request(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "LOOK_SECONDS", 0.01)
    mounted.put()
    seen: set[str] = set()
    answered = 0
    async with serving(mounted.folder) as url:
        for _ in range(4):
            seen.add(await serial(url))
            mounted.put()
            async with asyncio.timeout(10):
                while await serial(url) in seen:
                    statuses = await asyncio.gather(*(post(url) for _ in range(4)))
                    assert {status for status, _ in statuses} == {200}
                    answered += len(statuses)

    assert len(seen) == 4
    assert answered


async def test_a_pair_that_does_not_fit_leaves_the_old_one_in_use(mounted: Mounted) -> None:
    mounted.put()
    served = ServingCertificate(mounted.folder)
    assert served.refresh()
    assert not served.refresh(), "the same files are nothing new"

    mounted.put(key=Authority("another"))
    assert not served.refresh()
    mounted.put()
    assert served.refresh()


async def test_it_waits_for_its_first_certificate(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "LOOK_SECONDS", 0.01)
    async with serving(mounted.folder) as url:
        with pytest.raises(aiohttp.ClientConnectorError):
            await post(url)
        mounted.put()
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    assert (await post(url))[0] == 200
                    break


def speaking_1_1() -> ssl.SSLContext:
    """A caller who would take an old version: only the server is in the way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def test_tls_below_1_2_is_not_spoken(mounted: Mounted) -> None:
    mounted.put()
    context = trusting(ssl.TLSVersion.TLSv1_2)
    async with serving(mounted.folder) as url:
        assert (await post(url, context=context))[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionResetError)) as refused:
            await connect(url, speaking_1_1())
        assert "no protocols available" not in str(refused.value).lower(), "the caller did not even try"


async def connect(
    url: str, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("https://").partition("/")[0].split(":")
    return await asyncio.open_connection(host, int(port), ssl=context)


async def test_callers_who_only_connect_leave_room_and_are_hung_up_on(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    mounted.put()
    async with serving(mounted.folder) as url, asyncio.timeout(10):
        idle = [await connect(url, trusting()) for _ in range(2)]
        reader, writer = await connect(url, trusting())
        assert await reader.read() == b"", "there is no room for a third"
        writer.close()

        idle[0][1].close()
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                assert (await post(url))[0] == 200
                break
        idle[1][1].close()


async def test_who_never_speaks_tls_is_hung_up_on(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.05)
    mounted.put()
    async with serving(mounted.folder) as url, asyncio.timeout(10):
        reader, writer = await connect(url, None)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_a_taken_port_names_the_setting(mounted: Mounted) -> None:
    mounted.put()
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(server.WebhookCannotListen, match="cannot listen on") as caught:
            async with server.serve(lambda _: [], mounted.folder, HOST, taken.getsockname()[1]):
                pass

    assert caught.value.setting == "WEBHOOK_PORT"


async def test_without_a_folder_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        async with server.serve(lambda _: [], None, HOST, taken.getsockname()[1]):
            pass  # listening there would have failed
