"""Clients that mean no good, a few of each; `python -m benchmarks.service hostile` is the whole of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.service.clients import Connection, FailedError, connect, request
from tests.service.processes import ServiceProcess, run_service

ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_HEADER_SECONDS": "1",
    "SERVICE_PROPAGATION_SECONDS": "0",
    "SERVICE_QUIET_SECONDS": "0",
}


async def test_memory_and_series_stay_and_others_are_served(tmp_path: Path) -> None:
    async with (
        run_service("-m", "tests.service.drain_app", log=tmp_path / "log", env=ENV) as service,
        connect(("127.0.0.1", service.port)) as healthy,
        contextlib.AsyncExitStack() as stack,
    ):
        await _served(healthy)
        rss, series = _rss(service), await _series(service)
        slow = [await stack.enter_async_context(connect(("127.0.0.1", service.port))) for _ in range(100)]
        for connection in slow:
            connection.send(b"GET /fast HTTP/1.1\r\nX-Slow: ")
        await _served(healthy)
        await _attack(service, request("/fast", headers="X-Long: " + "v" * 5_000_000 + "\r\n"), 1)
        for number in range(20):
            paths = b"".join(request(f"/no/{number}/{each}") for each in range(100))
            await _attack(service, paths, 100)
        for number in range(20):
            ids = b"".join(request("/fast", headers=f'X-Request-ID: "{number} {n}\r\n') for n in range(20))
            await _attack(service, ids, 20)
        await _served(healthy)

        for connection in slow:
            assert (await connection.receive()).status == 408
        assert await _series(service) - series <= 50
        assert _rss(service) - rss <= 20 * 2**20
        assert "/no/" not in (await service.admin("/metrics")).text


async def _attack(service: ServiceProcess, data: bytes, answers: int) -> None:
    async with connect(("127.0.0.1", service.port)) as connection:
        connection.send(data)
        with contextlib.suppress(FailedError):
            for _ in range(answers):
                await connection.receive()


async def _served(connection: Connection) -> None:
    connection.send(request("/fast"))
    assert (await connection.receive()).status == 200


def _rss(service: ServiceProcess) -> int:
    return int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]) * 4096


async def _series(service: ServiceProcess) -> int:
    text = (await service.admin("/metrics")).text
    return sum(not line.startswith("#") for line in text.splitlines())
