"""Refusals at the door, on real sockets: what they say, what they leave alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.service.clients import connect, request
from tests.service.processes import AT_ONCE, eventually, run_service

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


async def test_a_refusal_is_a_problem_with_the_callers_id_and_keeps_the_connection(tmp_path: Path) -> None:
    async with (
        run_service("-c", APP, log=tmp_path / "log", env=AT_ONCE) as service,
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
        run_service("-c", APP, log=tmp_path / "log", env=AT_ONCE) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        connection.send(head)
        reply = await connection.receive()
        assert (reply.status, reply.closes) == (503, True)


async def test_a_connection_that_was_served_is_refused_like_a_new_one(tmp_path: Path) -> None:
    """It takes a shorter way to the same answer."""
    async with (
        run_service("-c", APP, log=tmp_path / "log", env=AT_ONCE) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        for identity in ("new", "used"):
            head = f"X-Request-ID: {identity}\r\n"
            connection.send(request("/echo", method="POST", body=b"x" * 200_000, headers=head))
            reply = await connection.receive()
            assert (reply.status, reply.closes) == (503, False)
            assert reply.headers["x-request-id"] == identity
            connection.send(request("/vital"))  # nothing of the body is taken for a request
            assert (await connection.receive()).body == b'"served"'
        new, used = [line for line in service.events("request") if line["request_id"] in {"new", "used"}]
        alike = ("status", "level", "route", "path", "method", "priority", "client")
        assert [new[name] for name in alike] == [used[name] for name in alike]

        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        reply = await connection.receive()
        assert (reply.status, reply.closes) == (503, True)


async def test_a_refusal_closes_where_the_client_asks_for_it(tmp_path: Path) -> None:
    async with (
        run_service("-c", APP, log=tmp_path / "log", env=AT_ONCE) as service,
        connect(("127.0.0.1", service.port)) as connection,
    ):
        connection.send(request("/vital"))
        assert (await connection.receive()).status == 200
        connection.send(request("/echo", headers="Connection: close\r\n"))
        reply = await connection.receive()
        assert (reply.status, reply.closes) == (503, True)


# Room for 8, and an origin that answers when it is told to.
COLD_APP = """
import asyncio
from prodkit import Settings, create_app, run
from prodkit.cache import Policy
from prodkit.cache.engine import StaleCache

app = create_app(Settings.load(name="cold"))
app.admission.limiter.limit = 9.0
app.admission.limiter.end_window = lambda: None
cache = StaleCache("prices", Policy())
loaded = asyncio.Event()

async def load() -> int:
    await loaded.wait()
    return 7

@app.get("/cold")
async def cold() -> int:
    return await cache.get("key", load)

@app.get("/warm")
async def warm() -> int:
    loaded.set()
    return 0

run(app)
"""


async def test_a_hundred_callers_of_one_cold_key_are_all_served(tmp_path: Path) -> None:
    async with (
        run_service("-c", COLD_APP, log=tmp_path / "log", env=AT_ONCE) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        address = ("127.0.0.1", service.port)
        waiting = []
        for number in range(1, 101):
            waiting.append(await stack.enter_async_context(connect(address)))
            waiting[-1].send(request("/cold"))

            async def all_wait(number: int = number) -> bool:
                metrics = (await service.admin("/metrics")).text
                return (
                    f"concurrency_waiting {number - 1}.0" in metrics and "concurrency_inflight 1.0" in metrics
                )

            if number % 8 in (0, 1):  # not more at once than there is room for
                await eventually(all_wait, what=f"{number} callers wait, one of them with a place")
        async with connect(address) as other:
            other.send(request("/warm"))  # meanwhile there is room for others
            assert (await other.receive()).status == 200
        assert [(await connection.receive()).body for connection in waiting] == [b"7"] * 100
        assert "concurrency_waiting 0.0" in (await service.admin("/metrics")).text


# Its last window was late, as after a long turn of the loop.
LATE_APP = """
import os, time
from pathlib import Path
from prodkit import Settings, create_app, run

app = create_app(Settings.load(name="late"))
app.admission.limiter.late = True
app.admission.limiter.end_window = lambda: None

@app.get("/hold")
async def hold() -> int:
    Path(os.environ["FOLDER"], "holding").touch()
    while not Path(os.environ["FOLDER"], "go").exists():
        time.sleep(0.01)
    return 0

@app.get("/long")
async def long() -> int:
    time.sleep(app.admission.limiter.lag.tuning.longest_burst_seconds * 1.2)
    return 0

run(app)
"""


async def test_who_waited_too_long_for_the_first_turn_is_refused_instead_of_served_in_vain(
    tmp_path: Path,
) -> None:
    async with run_service(
        "-c", LATE_APP, log=tmp_path / "log", env=AT_ONCE | {"FOLDER": str(tmp_path)}
    ) as service:
        holder, first, second = connections = [HTTPConnection("127.0.0.1", service.port) for _ in range(3)]
        for connection in connections:  # accepted
            connection.request("GET", "/nothing")
            assert await _status(connection) == 404
        holder.request("GET", "/hold")
        await eventually(partial(asyncio.to_thread, (tmp_path / "holding").exists), what="the handler runs")
        for connection in (first, second):  # read in one turn, so admitted both: the loop is held
            connection.request("GET", "/long")
        (tmp_path / "go").touch()
        assert await _status(holder) == 200
        assert sorted([await _status(first), await _status(second)]) == [200, 503]

        for connection in (first, second):  # as good as new
            connection.request("GET", "/nothing")
            assert await _status(connection) == 404
        for connection in connections:
            connection.close()
        metrics = (await service.admin("/metrics")).text
        assert 'requests_shed_total{class="normal"} 1.0' in metrics
        assert "concurrency_inflight 0.0" in metrics


GONE = 200
WORKED = 'http_server_request_duration_seconds_count{method="GET",route="/fast",status="200"}'


@pytest.mark.parametrize("known", [True, False], ids=["on kept connections", "on new connections"])
async def test_nobody_works_for_callers_that_have_gone_while_the_loop_was_held(
    tmp_path: Path, *, known: bool
) -> None:
    async with run_service(
        "-m", "tests.service.drain_app", log=tmp_path / "log", env=AT_ONCE | {"FOLDER": str(tmp_path)}
    ) as service:

        async def count(series: str) -> float:
            lines = (await service.admin("/metrics")).text.splitlines()
            return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))

        holder, stays = (HTTPConnection("127.0.0.1", service.port) for _ in range(2))
        callers = [HTTPConnection("127.0.0.1", service.port) for _ in range(GONE)]
        for connection in [holder, stays, *(callers if known else [])]:
            connection.request("GET", "/nothing")
            assert await _status(connection) == 404
        holder.request("GET", "/hold")
        await eventually(partial(asyncio.to_thread, (tmp_path / "holding").exists), what="the handler runs")
        for caller in callers:
            caller.request("GET", "/fast")
            caller.close()
        stays.request("GET", "/fast")
        (tmp_path / "go").touch()
        assert await _status(holder) == 200
        assert await _status(stays) == 200

        async def all_dropped() -> bool:
            return await count("requests_abandoned_total") == GONE

        await eventually(all_dropped, what="each of those that had gone was looked at")
        assert await count(WORKED) == 1
        assert await count("concurrency_inflight") == 0
        for connection in (holder, stays):
            connection.close()


async def _status(connection: HTTPConnection) -> int:
    """Of the next response, read to its end."""
    response = await asyncio.to_thread(connection.getresponse)
    await asyncio.to_thread(response.read)
    return response.status
