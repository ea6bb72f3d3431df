"""Refusals at the door, on real sockets: what they say, what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.service.clients import connect, request
from tests.service.processes import run_service

# A limit that is full from the start: nothing but critical paths gets in.
APP = """
from prodkit import Settings, create_app, run
from prodkit.limiter import Priority

app = create_app(Settings.load(name="full"), priorities={"/vital": Priority.CRITICAL})
app.admission.limiter.limit = 1.1
app.admission.limiter.end_window = lambda: None
app.admission.limiter.in_flight = 1

@app.get("/vital")
async def vital() -> str:
    return "served"

@app.post("/echo")
async def echo() -> str:
    return "never"

run(app)
"""
ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PROPAGATION_SECONDS": "0",
    "SERVICE_QUIET_SECONDS": "0",
}


async def test_a_refusal_is_a_problem_with_the_callers_id_and_keeps_the_connection(tmp_path: Path) -> None:
    async with (
        run_service("-c", APP, log=tmp_path / "log", env=ENV) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        connection.send(request("/echo", method="POST", body=b"x" * 5000, headers="X-Request-ID: mine\r\n"))
        reply = await connection.receive()
        assert (reply.status, reply.closes) == (503, False)
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["x-request-id"] == json.loads(reply.body)["request_id"] == "mine"
        assert reply.headers["retry-after"] in ("1", "2", "3")
        assert reply.headers["x-content-type-options"] == "nosniff"

        connection.send(request("/vital"))  # the body in between was thrown away
        assert (await connection.receive()).body == b'"served"'

        connection.send(request("/echo") * 50 + request("/vital"))
        statuses = [(await connection.receive()).status for _ in range(51)]
        assert statuses == [503] * 50 + [200]

        assert (await service.admin("/readyz")).status_code == 200
        metrics = (await service.admin("/metrics")).text
        assert 'requests_shed_total{class="normal"} 51.0' in metrics
        assert 'requests_shed_total{class="sheddable"} 0.0' in metrics
        assert (
            'http_server_request_duration_seconds_count{method="GET",route="shed",status="503"} 50.0'
            in metrics
        )
        [line] = [line for line in service.events("request") if line["request_id"] == "mine"]
        assert (line["status"], line["level"], line["route"]) == (503, "error", "shed")


async def test_expecting_clients_get_the_refusal_instead_of_a_go_ahead(tmp_path: Path) -> None:
    async with (
        run_service("-c", APP, log=tmp_path / "log", env=ENV) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        connection.send(head)
        reply = await connection.receive()
        assert (reply.status, reply.closes) == (503, True)
