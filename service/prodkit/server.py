"""uvicorn's server, made to leave without losing a request.

On SIGTERM: readiness goes off, the listener stays open, responses say `Connection: close`. The process
leaves when it is quiet (no connection and no request for `quiet` seconds, nothing in flight), not before
`propagation_wait` and not after `propagation_wait + drain`. SIGINT (a developer's Ctrl-C) skips the waits.
A second signal ends the process at once: after the running turn of the event loop, or a second later if that
does not end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from prodkit.accepting import AcceptQueue
from prodkit.admission import Admission
from prodkit.drain import DrainState, DrainTimes, Limits
from prodkit.lifecycle import Lifecycle
from prodkit.protocol import DrainProtocol

logger = structlog.get_logger("prodkit.server")

_POLL_SECONDS = 0.05
_ACCEPT_TURNS = 40  # loop turns that empty the accept queue, however full, before the listener closes
_CANCEL_SECONDS = 1.0  # for cancelled requests to write their 503, and again for clients to read it
_ABORT_SECONDS = 1.0  # for the running turn of the event loop to end, once nobody wants to wait any more
_SIGNAL_EXIT_CODE = 128


class DrainServer(uvicorn.Server):
    """The traffic server. The config needs `http=DrainProtocol`; `prodkit.runner.run` puts all together."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        lifecycle: Lifecycle,
        times: DrainTimes | None = None,
        limits: Limits | None = None,
        admission: Admission | None = None,
        on_rejected: Callable[[int], None] | None = None,
        on_started: Callable[[], None] | None = None,
        on_abort: Callable[[], None] | None = None,
    ) -> None:
        """`on_abort` runs on the event loop before a second signal ends the process; it must not wait."""
        super().__init__(config)
        self.lifecycle = lifecycle
        self.times = times or DrainTimes()
        self.state = DrainState(lifecycle=lifecycle, limits=limits or Limits(), admission=admission)
        if on_rejected is not None:
            self.state.on_rejected = on_rejected
        self.server_state = self.state
        self._on_started = on_started
        self._on_abort = on_abort
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._hurry = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal, then drain. CancelledError when the signal comes before start-up is done."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's start-up, then listen."""
        await super().startup(sockets)
        if sockets:
            self.state.accept_others = AcceptQueue(sockets, self._make_protocol, tls=self.config.ssl).take
        if self._on_started is not None:
            self._on_started()

    def _make_protocol(self) -> DrainProtocol:
        return DrainProtocol(config=self.config, server_state=self.state, app_state=self.lifespan.state)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signal module's interface
        """First signal: begin to leave. Second: leave now, whatever is in flight.

        uvicorn's list of captured signals stays empty: it would raise them again and turn a clean
        drain into exit code 143.
        """
        if self.should_exit:
            self._abort_soon(_SIGNAL_EXIT_CODE + sig)
            return
        self.should_exit = True
        self._hurry = sig == signal.SIGINT
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second from uvicorn's loop; once a second we look for clients that dawdle."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.close_overdue(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, close, cancel what is left, close the application."""
        loop = asyncio.get_running_loop()
        self.lifecycle.mark_draining()
        begun = loop.time()
        wait = 0.0 if self._hurry or not self.lifecycle.served else self.times.propagation_wait
        deadline = begun + wait + self.times.drain
        logger.info(
            "draining",
            propagation_wait=wait,
            drain=self.times.drain,
            connections=len(self.state.connections),
            in_flight=len(self.state.tasks),
        )
        quiet = await self._until_quiet(begun + wait, deadline)
        await self._close_listeners(sockets)
        await self._until_closed(deadline)
        cancelled = await self._cancel_rest()
        logger.info("drained", seconds=round(loop.time() - begun, 3), quiet=quiet, cancelled=cancelled)
        await self._close_application()

    def _begin(self) -> None:
        self.lifecycle.mark_draining()
        if not self.started and self._task is not None:
            self._task.cancel()  # start-up may hang for ever, and nobody has been served yet

    def _abort_soon(self, code: int) -> None:
        """End the process without waiting for any request, but not between an answer and its log line.

        The signal may have come anywhere, also in the middle of a write to the log, so the event loop does it when
        its turn is over; a thread does when a handler blocks the loop.
        """
        if self._loop is None:
            os._exit(code)
        self._loop.call_soon_threadsafe(self._abort, code)
        waiting = threading.Timer(_ABORT_SECONDS, os._exit, (code,))
        waiting.daemon = True
        waiting.start()

    def _abort(self, code: int) -> None:
        logger.error("second signal: exit now", in_flight=len(self.state.tasks))
        if self._on_abort is not None:
            with contextlib.suppress(Exception):  # whatever it is: we leave
                self._on_abort()
        os._exit(code)

    def _connections(self) -> list[DrainProtocol]:
        return [it for it in self.state.connections if isinstance(it, DrainProtocol)]

    async def _until_quiet(self, earliest: float, deadline: float) -> bool:
        """Go on serving until nobody comes any more. False when the deadline came first."""
        loop = asyncio.get_running_loop()
        quiet = 0.0 if self._hurry or not self.lifecycle.served else self.times.quiet
        counter = 0
        while loop.time() < deadline:
            idle_since = max(self.state.last_activity, earliest - quiet)
            if not self.state.tasks and loop.time() >= max(earliest, idle_since + quiet):
                return True
            await asyncio.sleep(_POLL_SECONDS)
            counter += 1
            await self.on_tick(counter)  # keeps the Date header right
        return False

    async def _close_listeners(self, sockets: list[socket.socket] | None) -> None:
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
            self.state.accept_others()
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()

    async def _until_closed(self, deadline: float) -> None:
        """Close idle connections by half; let the others finish, and the newest send their first request."""
        loop = asyncio.get_running_loop()
        linger_end = loop.time() + self.state.limits.linger_seconds
        for connection in self._connections():
            connection.leave(also_unused=False)
        while self.state.connections or self.state.tasks:
            if loop.time() >= (deadline if self.state.tasks else linger_end):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _cancel_rest(self) -> int:
        """Cancel what the drain could not wait for; each request still gets its 503. Returns how many."""
        tasks = set(self.state.tasks)
        if tasks:
            self.state.cancelling = True
            logger.error("drain took too long: cancelling requests", count=len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        for connection in self._connections():
            connection.leave(also_unused=True)
        loop = asyncio.get_running_loop()
        end = loop.time() + _CANCEL_SECONDS
        while self.state.connections and loop.time() < end:  # noqa: ASYNC110  uvicorn tells nobody when a connection goes
            await asyncio.sleep(_POLL_SECONDS)
        for connection in self._connections():
            connection.transport.abort()
        return len(tasks)

    async def _close_application(self) -> None:
        try:
            async with asyncio.timeout(self.times.lifespan):
                await self.lifespan.shutdown()
        except TimeoutError:
            logger.error(  # noqa: TRY400  the traceback would only show this line
                "the application did not close in time", seconds=self.times.lifespan
            )
