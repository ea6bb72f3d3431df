"""Run an application: two listeners, one process, one event loop, exit code 0 after a clean drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Generator

import structlog
import uvicorn
import uvloop

from prodkit.app import App
from prodkit.drain import DrainTimes, Limits
from prodkit.logs import configure_logging
from prodkit.protocol import DrainProtocol
from prodkit.server import DrainServer
from prodkit.settings import Settings

logger = structlog.get_logger("prodkit.runner")

_BACKLOG = 2048  # connections that the kernel completes before we accept them


def run(app: App) -> None:
    """Serve until SIGTERM or SIGINT, drain, return. Raises SystemExit(1) when a port cannot be opened."""
    settings = app.settings
    configure_logging(
        level=settings.log_level, fields={"service": settings.name, "version": settings.version}
    )
    traffic = _listen(settings, "port")
    admin = _listen(settings, "admin_port")
    with traffic, admin, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, traffic, admin))


class _AdminServer(uvicorn.Server):
    """The admin port's server: no signals of its own, it ends when the traffic server has ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _serve(app: App, traffic: socket.socket, admin: socket.socket) -> None:
    settings = app.settings

    def on_started() -> None:
        gc.collect()
        gc.freeze()  # what start-up made stays: no collection has to walk through it again
        logger.info(
            "serving",
            host=settings.host,
            port=traffic.getsockname()[1],
            admin_port=admin.getsockname()[1],
            environment=settings.environment,
        )

    admin_server = _AdminServer(
        uvicorn.Config(
            app.admin,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    server = DrainServer(
        _traffic_config(app),
        lifecycle=app.lifecycle,
        times=DrainTimes(settings.propagation_wait, settings.drain_seconds, settings.quiet_seconds),
        limits=Limits(
            settings.header_bytes, settings.header_count, settings.header_seconds, settings.body_seconds
        ),
        admission=app.admission,
        on_rejected=app.metrics.count_rejected,
        on_started=on_started,
        on_abort=app.access_log.flush if app.access_log is not None else None,
    )
    admin_task = asyncio.create_task(admin_server.serve(sockets=[admin]))
    try:
        await server.serve(sockets=[traffic])
    except asyncio.CancelledError:
        if not server.should_exit:
            raise
        logger.info("stopped before it served")
        logging.getLogger("uvicorn.error").disabled = True  # start-up ends with a traceback that nobody needs
    finally:
        app.lifecycle.mark_stopped()
        admin_server.should_exit = True
        await admin_task


def _traffic_config(app: App) -> uvicorn.Config:
    settings = app.settings
    return uvicorn.Config(
        app,
        http=DrainProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_keep_alive=settings.keep_alive_seconds,
        backlog=_BACKLOG,
    )


def _listen(settings: Settings, field: str) -> socket.socket:
    port = getattr(settings, field)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        sock = socket.create_server(
            (settings.host, port),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        logger.error(  # noqa: TRY400  a traceback says nothing that the message does not
            "port cannot be opened: free it or set another",
            port=port,
            host=settings.host,
            reason=error.strerror,
            variable=settings.env_name(field),
        )
        raise SystemExit(1) from None
    sock.setblocking(False)
    return sock
