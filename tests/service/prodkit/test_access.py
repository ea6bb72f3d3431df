"""Access lines are written in batches, and none is lost however the process ends."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest

from prodkit.access import AccessLog
from tests.service.clients import connect, request
from tests.service.processes import run_service

ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PROPAGATION_SECONDS": "0",
    "SERVICE_QUIET_SECONDS": "0",
}


@pytest.mark.parametrize("signals", [1, 2], ids=["drained", "ended at once"])
async def test_every_answer_has_its_line(tmp_path: Path, signals: int) -> None:
    env = ENV | {"SERVICE_QUIET_SECONDS": "30"} if signals == 2 else ENV
    async with (
        run_service("-m", "tests.service.drain_app", log=tmp_path / "log", env=env) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        ids = [f"id-{number}" for number in range(500)]
        connection.send(b"".join(request("/fast", headers=f"X-Request-ID: {each}\r\n") for each in ids))
        for _ in ids:
            await connection.receive()
        service.stop()
        if signals == 2:
            service.stop(signal.SIGINT)
        await service.wait(8)
    assert [line["request_id"] for line in service.events("request")] == ids


def test_a_line_is_json_whatever_is_in_it() -> None:
    stream = io.BytesIO()
    log = AccessLog({"service": 'sh"op'}, stream)
    log.write(200, {"path": 'a"\n\x00b', "bytes": 1})
    log.write(500, {"path": "half a pair \ud800"})

    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["service"], first["path"], first["level"]) == ('sh"op', 'a"\n\x00b', "info")
    assert (second["path"], second["level"]) == ("half a pair \\ud800", "error")


def test_a_reader_that_has_gone_fails_nobody() -> None:
    class Broken(io.BytesIO):
        def write(self, _data: object) -> int:
            raise BrokenPipeError

    AccessLog({}, Broken()).write(200, {"path": "/"})
