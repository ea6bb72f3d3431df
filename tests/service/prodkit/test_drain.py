"""How one process leaves, seen from outside: real processes, real sockets, real signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.service.clients import Address, Connection, FailedError, connect, request
from tests.service.processes import ServiceProcess, eventually, run_service

APP = ("-m", "tests.service.drain_app")
ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PROPAGATION_SECONDS": "2",
    "SERVICE_QUIET_SECONDS": "0.3",
    "SERVICE_DRAIN_SECONDS": "20",
}


def address(service: ServiceProcess) -> Address:
    return ("127.0.0.1", service.port)


async def draining(service: ServiceProcess) -> None:
    async def says_so() -> bool:
        return (await service.admin("/readyz")).status_code == 503

    await eventually(says_so, what="readiness off")


async def test_readiness_goes_off_at_once_while_traffic_and_admin_are_served(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service, connect(address(service)) as old:
        old.send(request("/fast"))
        assert not (await old.receive()).closes
        assert (await service.admin("/readyz")).json()["status"] == "ok"

        stopped = time.monotonic()
        service.stop()
        await draining(service)
        assert (await service.admin("/readyz")).json()["status"] == "draining"
        assert (await service.admin("/livez")).status_code == 200
        assert (await service.admin("/metrics")).status_code == 200

        old.send(request("/fast"))
        last = await old.receive()
        assert (last.status, last.closes) == (200, True)
        async with connect(address(service)) as new:
            new.send(request("/fast"))
            reply = await new.receive()
            assert (reply.status, reply.closes) == (200, True)

        assert await service.wait(30) == 0
        assert time.monotonic() - stopped >= 2.0  # the propagation wait


async def test_pre_stop_is_taken_off_the_propagation_wait(tmp_path: Path) -> None:
    env = ENV | {"SERVICE_PROPAGATION_SECONDS": "600", "SERVICE_PRE_STOP_SECONDS": "600"}
    async with run_service(*APP, log=tmp_path / "log", env=env) as service:
        service.stop()
        assert await service.wait(30) == 0


async def test_pipelined_requests_are_all_answered_and_only_the_last_says_close(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        service.stop()
        await draining(service)
        async with connect(address(service)) as connection:
            connection.send(request("/sleep/0.05") * 4)
            replies = [await connection.receive() for _ in range(4)]
        assert [reply.status for reply in replies] == [200] * 4
        assert [reply.closes for reply in replies] == [False, False, False, True]
        assert await service.wait(30) == 0


async def test_what_is_in_flight_is_finished(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        async with connect(address(service)) as slow, connect(address(service)) as stream:
            slow.send(request("/sleep/2"))
            stream.send(request("/stream/2"))
            await _in_flight(service, 2)
            service.stop()
            answer, streamed = await asyncio.gather(slow.receive(), stream.receive())
        assert (answer.status, answer.body) == (200, b"2.0")
        assert (streamed.status, streamed.body) == (200, b"part\n" * 8)
        assert await service.wait(30) == 0


async def test_an_upload_in_flight_is_read_to_its_end(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        async with connect(address(service)) as connection:
            whole = request("/echo", method="POST", body=b"x" * 50_000)
            connection.send(whole[:20_000])
            await _in_flight(service, 1)
            service.stop()
            await draining(service)
            connection.send(whole[20_000:])
            reply = await connection.receive()
        assert (reply.status, reply.body) == (200, b"50000")
        assert await service.wait(30) == 0


async def test_an_endless_stream_is_told_and_ends_properly(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        async with connect(address(service)) as connection:
            connection.send(request("/events"))
            await _in_flight(service, 1)
            service.stop()
            reply = await connection.receive()
        assert reply.body == b"hello\nbye\n"
        assert await service.wait(30) == 0


async def test_an_idle_connection_gets_a_clean_end(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        async with connect(address(service)) as connection:
            connection.send(request("/fast"))
            await connection.receive()
            service.stop()
            assert await connection.reader.read() == b""  # FIN, no reset
        assert await service.wait(30) == 0


async def test_what_outlasts_the_drain_gets_503_with_its_id(tmp_path: Path) -> None:
    env = ENV | {"SERVICE_PROPAGATION_SECONDS": "0", "SERVICE_DRAIN_SECONDS": "1"}
    async with run_service(*APP, log=tmp_path / "log", env=env) as service:
        async with connect(address(service)) as endless, connect(address(service)) as streaming:
            endless.send(request("/sleep/60", headers="X-Request-ID: the-long-one\r\n"))
            streaming.send(request("/stream/60"))
            await _in_flight(service, 2)
            service.stop()
            reply = await endless.receive()
            with pytest.raises(
                FailedError, match=r"closed|half"
            ):  # a response cut short must not look complete
                await streaming.receive()
        assert (reply.status, reply.closes) == (503, True)
        assert reply.headers["x-request-id"] == "the-long-one"
        assert reply.headers["content-type"] == "application/problem+json"
        assert await service.wait(30) == 0
        assert service.events("drained")[0]["cancelled"] == 2
        assert not [line for line in service.lines() if "exception" in line]


async def test_a_second_signal_ends_it_now(tmp_path: Path) -> None:
    async with run_service(*APP, log=tmp_path / "log", env=ENV) as service:
        async with connect(address(service)) as connection:
            connection.send(request("/sleep/60"))
            await _in_flight(service, 1)
            service.stop()
            await draining(service)
            service.stop()
            assert await service.wait(30) == 128 + signal.SIGTERM
        assert service.events("second signal: exit now")


async def test_a_second_signal_ends_it_even_when_the_loop_is_blocked(tmp_path: Path) -> None:
    async with (
        run_service(*APP, log=tmp_path / "log", env=ENV) as service,
        connect(address(service)) as connection,
    ):
        service.stop()
        await draining(service)
        connection.send(request("/block/60"))

        async def blocked() -> bool:
            try:
                async with asyncio.timeout(0.2):
                    await service.admin("/livez")
            except TimeoutError:
                return True
            return False

        await eventually(blocked, what="a blocked loop")
        service.stop()
        assert await service.wait(30) == 128 + signal.SIGTERM


async def test_ctrl_c_does_not_wait_for_a_cluster(tmp_path: Path) -> None:
    env = ENV | {"SERVICE_PROPAGATION_SECONDS": "600", "SERVICE_QUIET_SECONDS": "600"}
    async with run_service(*APP, log=tmp_path / "log", env=env) as service:
        service.stop(signal.SIGINT)
        assert await service.wait(30) == 0


async def _in_flight(service: ServiceProcess, count: int) -> None:
    async def reached() -> bool:
        return f"http_server_active_requests {float(count)}" in (await service.admin("/metrics")).text

    await eventually(reached, what=f"{count} requests in flight")


async def test_a_client_that_never_stops_coming_does_not_hold_the_process(tmp_path: Path) -> None:
    env = ENV | {
        "SERVICE_PROPAGATION_SECONDS": "0",
        "SERVICE_DRAIN_SECONDS": "1",
        "SERVICE_QUIET_SECONDS": "0.5",
    }
    async with run_service(*APP, log=tmp_path / "log", env=env) as service:
        coming = asyncio.create_task(_come_for_ever(service))
        await eventually(lambda: _answered(service), what="a request")
        service.stop()
        assert await service.wait(30) == 0
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        assert service.events("drained")[0]["quiet"] is False


async def _answered(service: ServiceProcess) -> bool:
    return bool(service.events("request"))


async def _come_for_ever(service: ServiceProcess) -> None:
    while True:
        async with connect(address(service)) as connection:
            await _ask(connection)
        await asyncio.sleep(0.05)


async def _ask(connection: Connection) -> None:
    connection.send(request("/fast"))
    await connection.receive()


HANGING = """
import asyncio, contextlib
from prodkit import Settings, create_app, run

@contextlib.asynccontextmanager
async def lifespan(app):
    print('{"event": "hanging"}', flush=True)
    await asyncio.Event().wait()
    yield

run(create_app(Settings.load(), lifespan=lifespan))
"""


async def test_a_start_up_that_hangs_can_be_stopped(tmp_path: Path) -> None:
    async with run_service("-c", HANGING, log=tmp_path / "log", env=ENV, wait=False) as service:

        async def hanging() -> bool:
            return bool(service.events("hanging"))

        await eventually(hanging, what="the start-up", seconds=20)
        service.stop()
        assert await service.wait(30) == 0
        assert service.events("stopped before it served")
        assert not [line for line in service.lines() if line.get("level") == "error"]


async def test_whoever_the_kernel_has_accepted_when_the_listener_closes_is_served(tmp_path: Path) -> None:
    env = ENV | {"SERVICE_PROPAGATION_SECONDS": "0", "SERVICE_QUIET_SECONDS": "0", "FOLDER": str(tmp_path)}
    async with (
        run_service(*APP, log=tmp_path / "log", env=env) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        holder = await stack.enter_async_context(connect(address(service)))
        holder.send(request("/hold"))
        await eventually(partial(asyncio.to_thread, (tmp_path / "holding").exists), what="the handler runs")
        service.stop()
        waiting = [await stack.enter_async_context(connect(address(service))) for _ in range(300)]
        for connection in waiting:
            connection.send(request("/fast"))
        (tmp_path / "go").touch()
        assert [(await connection.receive()).status for connection in [holder, *waiting]] == [200] * 301
        await stack.aclose()
        assert await service.wait(30) == 0
