"""uvicorn's HTTP/1.1 protocol, made to leave without losing a request, and with limits on the header block.

What differs from `HttpToolsProtocol` of uvicorn 0.54 (a test asserts the attributes used here):

* A connection is closed by half: FIN, then what still arrives is read and thrown away for a moment
  (RFC 9112 section 9.6). A plain close with unread input sends a reset, which can destroy the response
  that the client has not read yet.
* While draining, a response says `Connection: close` only when no further request of that connection has
  arrived: pipelined requests are all answered, the last one with the word.
* A header block has a size, a count and a time limit (431, 408); httptools itself accepts any.
* A request that is cancelled at the end of the drain gets a 503, not uvicorn's 500.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import Any

import structlog
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from prodkit import correlation, problems
from prodkit.drain import DrainState
from prodkit.lingering import LingeringTransport

logger = structlog.get_logger("prodkit.protocol")

_REJECTIONS = {
    400: "the request is not valid HTTP/1.1",
    408: "the header block did not arrive in time",
    431: "the header block is too large",
}


class _RejectedError(Exception):
    """Stops the parser; the protocol knows the status to answer with."""


class DrainProtocol(HttpToolsProtocol):
    """One client connection. `server_state` has to be a `DrainState`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.server_state
        if not isinstance(state, DrainState):
            raise TypeError("DrainProtocol needs a server with a DrainState as server_state: use DrainServer")
        self.state = state
        self._in_head = False
        self._head_bytes = 0
        self._head_fed = 0
        self._head_deadline = 0.0
        self._status = 400
        self._leave_when_idle = False

    # asyncio's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        lingering = LingeringTransport(transport, self.loop, self.state.limits.linger_seconds)
        super().connection_made(lingering)
        now = self.loop.time()
        self.state.last_activity = now
        self._head_deadline = now + self.state.limits.header_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.transport, LingeringTransport):
            self.transport.forget()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # lingering: read and thrown away
        self.state.last_activity = self.loop.time()
        head_continues = self._in_head
        super().data_received(data)
        if head_continues and self._in_head:  # one long header arrives in many pieces before any callback
            self._head_fed += len(data)
            if self._head_fed > self.state.limits.header_bytes:
                self._reject(431)

    # the parser's side

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._head_fed = 0
        self._head_deadline = self.loop.time() + self.state.limits.header_seconds

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))
        if len(self.headers) > self.state.limits.header_count:
            self._status = 431
            raise _RejectedError

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._leave_when_idle and self._is_idle():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's text has no more to say than the status
        """Refuse what the parser could not take. Also the place where uvicorn reports a parser error."""
        self._reject(self._status)

    # the server's side

    def leave(self, *, also_unused: bool) -> None:
        """Close as soon as nothing is being answered; `also_unused`: also when no request has come yet."""
        self._leave_when_idle = True
        if self._is_idle() and (self.cycle is not None or also_unused) and not self._in_head:
            self.transport.close()

    def close_overdue(self, now: float) -> None:
        """About once a second: refuse a header block that takes too long, close a silent connection."""
        if not self._is_idle():
            self._head_deadline = now + self.state.limits.header_seconds  # reading may be paused meanwhile
        elif now > self._head_deadline and not self.transport.is_closing():
            if self._in_head:
                self._reject(408)
            elif self.cycle is None:
                self.transport.close()

    # inside

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.state.limits.header_bytes:
            self._status = 431
            raise _RejectedError

    def _reject(self, status: int) -> None:
        self.state.on_rejected(status)
        context = correlation.make_context(None, None)
        detail = _REJECTIONS[status]
        logger.warning(
            "request refused",
            status=status,
            reason=detail,
            client=self.client[0] if self.client else "",
            request_id=context.request_id,
        )
        if self._is_idle():  # else an answer is on its way on this connection: do not write into it
            self.transport.write(_rejection(status, detail, context, self.server_state.default_headers))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, self._drain_aware(cycle, app))

    def _drain_aware(self, cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
        state = self.state

        async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            async def send_last(message: ASGISendEvent) -> None:
                if state.draining and message["type"] == "http.response.start" and not self._has_more(cycle):
                    cycle.keep_alive = False
                await send(message)

            try:
                await app(scope, receive, send_last)
            except asyncio.CancelledError:
                if not state.cancelling:
                    raise
                await self._answer_cancelled(cycle)

        return run

    async def _answer_cancelled(self, cycle: RequestResponseCycle) -> None:
        if cycle.response_complete or cycle.disconnected:
            return
        if cycle.response_started:
            cycle.disconnected = True  # a response cut short must not look complete: no terminator follows
            self.transport.close()
            return
        headers = [(b"content-length", b"0"), (b"connection", b"close"), (b"retry-after", b"1")]
        await cycle.send({"type": "http.response.start", "status": 503, "headers": headers})
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})

    def _has_more(self, cycle: RequestResponseCycle) -> bool:
        """True when another request has come behind this one: parsed, half parsed, or still in the kernel."""
        if self.pipeline or self._in_head:
            return True
        return not cycle.more_body and _unread_bytes(self.transport) > 0


def _unread_bytes(transport: asyncio.Transport) -> int:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))
    except OSError:
        return 0
    return int(count)


def _rejection(
    status: int, detail: str, context: correlation.RequestContext, default_headers: list[tuple[bytes, bytes]]
) -> bytes:
    body = problems.problem_body(status, detail, request_id=context.request_id)
    headers = [
        *default_headers,
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", context.request_id.encode()),
        (b"connection", b"close"),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[status] + lines + b"\r\n" + body
