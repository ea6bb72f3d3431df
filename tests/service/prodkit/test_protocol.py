"""What the HTTP side refuses, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.service.clients import Reply, connect, request
from tests.service.processes import ServiceProcess, eventually, run_service

ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_HEADER_SECONDS": "1",
    "SERVICE_BODY_SECONDS": "1",
    "SERVICE_PROPAGATION_SECONDS": "0",
    "SERVICE_QUIET_SECONDS": "0",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("protocol") / "log"
    async with run_service("-m", "tests.service.drain_app", log=log, env=ENV) as process:
        yield process


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _answer(service: ServiceProcess, data: bytes) -> Reply:
    async with connect(("127.0.0.1", service.port)) as connection:
        connection.send(data)
        reply = await connection.receive()
        assert reply.closes
        assert await connection.reader.read() == b""  # a clean end although we sent more than was read
        return reply


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/fast", headers="".join(f"X-{n}: v\r\n" for n in range(200))), 431),
        (request("/fast", headers="X-Long: " + "v" * 70_000 + "\r\n"), 431),
        (request("/fast", headers="X-Long: " + "v" * 2_000_000 + "\r\n"), 431),
        (request("/" + "p" * 70_000), 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /fast HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", 400),
        (b"GET /fast HTTP/1.1\r\nHost: a\r\n", 408),
    ],
    ids=[
        "200 fields",
        "70 kB field",
        "2 MB field",
        "70 kB path",
        "nonsense",
        "bad field name",
        "half a head",
    ],
)
async def test_refusals_are_problems_with_an_id(service: ServiceProcess, data: bytes, status: int) -> None:
    reply = await _answer(service, data)

    assert reply.status == status
    problem = json.loads(reply.body)
    assert problem["status"] == status
    assert problem["request_id"] == reply.headers["x-request-id"]
    logged = [
        line for line in service.events("request refused") if line["request_id"] == problem["request_id"]
    ]
    assert [line["status"] for line in logged] == [status]
    assert (
        f'http_server_rejected_requests_total{{status="{status}"}}' in (await service.admin("/metrics")).text
    )


async def test_a_header_block_that_never_ends_is_cut_off(service: ServiceProcess) -> None:
    """One field that arrives in many pieces: the parser itself says nothing before it is complete."""
    async with connect(("127.0.0.1", service.port)) as connection:
        connection.send(b"GET /fast HTTP/1.1\r\nHost: a\r\nX-Long: ")

        async def refused() -> bool:
            connection.send(b"v" * 50_000)
            return bool(connection.reader._buffer)  # type: ignore[attr-defined]  # an answer while we still write

        await eventually(refused, what="an answer")
        assert (await connection.receive()).status == 431


async def test_a_silent_connection_is_closed(service: ServiceProcess) -> None:
    async with connect(("127.0.0.1", service.port)) as connection, asyncio.timeout(30):
        assert await connection.reader.read() == b""


async def test_a_slow_answer_is_not_a_slow_header(service: ServiceProcess) -> None:
    async with connect(("127.0.0.1", service.port)) as connection:
        connection.send(request("/sleep/2.5") + b"GET /fast HTTP/1.1\r\nHo")
        first = await connection.receive()
        connection.send(b"st: a\r\n\r\n")
        second = await connection.receive()
    assert (first.status, second.status) == (200, 200)


async def test_a_chunked_body_has_a_limit_too(service: ServiceProcess) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = await _answer(
        service,
        head + b"20000\r\n" + b"x" * 0x20000 + b"\r\n" + (b"80000\r\n" + b"x" * 0x80000 + b"\r\n") * 3,
    )
    assert reply.status == 413
    assert reply.headers["content-type"] == "application/problem+json"


async def test_a_body_that_stops_coming_is_given_up(service: ServiceProcess) -> None:
    reply = await _answer(
        service, b"POST /echo HTTP/1.1\r\nHost: a\r\nX-Request-ID: half\r\nContent-Length: 9\r\n\r\nhalf"
    )
    assert (reply.status, json.loads(reply.body)["detail"]) == (408, "the body did not arrive in time")

    async def logged() -> bool:
        return "half" in [line["request_id"] for line in service.events("request")]

    await eventually(logged, what="the end of the handler")
    [line] = [line for line in service.events("request") if line["request_id"] == "half"]
    assert line["status"] == 499
    assert not service.events("unhandled exception")


async def test_no_server_header(service: ServiceProcess) -> None:
    async with connect(("127.0.0.1", service.port)) as connection:
        connection.send(request("/fast"))
        assert "server" not in (await connection.receive()).headers
