"""Access lines are written in batches, and none is lost however the process ends."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest

from prodkit.access import AccessLog
from tests.service.clients import connect, request
from tests.service.processes import AT_ONCE, run_service

# Asked twice to leave right behind the last byte of an answer, before the application has returned.
ENDED_IN_BETWEEN = """
import signal
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from prodkit import Settings, create_app, run

class Ending(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

app = create_app(Settings.load(name="ended"))

@app.get("/end")
async def end() -> Ending:
    return Ending("sent")

run(app)
"""


async def test_a_second_signal_does_not_come_between_an_answer_and_its_line(tmp_path: Path) -> None:
    async with (
        run_service("-c", ENDED_IN_BETWEEN, log=tmp_path / "log", env=AT_ONCE) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        connection.send(request("/end", headers="X-Request-ID: last\r\n"))
        assert (await connection.receive()).body == b"sent"
        assert await service.wait(30) == 128 + signal.SIGINT
    assert [line["request_id"] for line in service.events("request")] == ["last"]


@pytest.mark.parametrize("signals", [1, 2], ids=["drained", "ended at once"])
async def test_every_answer_has_its_line(tmp_path: Path, signals: int) -> None:
    env = AT_ONCE | {"SERVICE_PROPAGATION_SECONDS": "600"} if signals == 2 else AT_ONCE
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
        await service.wait(30)
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
