"""One request and its response on an HTTP/1.1 connection.

uvicorn's cycle, with the head and the first part of the body in one write (a system call less for nearly every
request), names of headers checked once per process instead of once per response, and the answers that a drain
needs. What is accepted and what comes out on the wire is uvicorn's.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import re
import select
import struct
import termios
from collections.abc import Callable
from typing import Any

import structlog
from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from prodkit.admission import Admission
from prodkit.drain import DrainState
from prodkit.limiter import Slot
from prodkit.telemetry import HEAD_BLOCK

logger = structlog.get_logger("prodkit.protocol")

_BAD_NAME = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]|^$")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_MOST_NAMES = 256
_HANG_UP = getattr(select, "POLLRDHUP", 0)  # a reset is told in any case
_names: dict[bytes, bytes] = {}  # as the application writes them → checked and in lower case
_BODILESS = (204, 304)
_JOIN_BYTES = 64 * 1024  # a larger body is not worth being copied behind its head


class Cycle(RequestResponseCycle):
    """uvicorn's interface to an application, for one request of a `DrainProtocol`."""

    state: DrainState
    has_more: Callable[[], bool]
    """True when another request of this connection has come behind this one."""
    slot: Slot | None = None
    """Its place at the door; released when the application has ended."""
    admission: Admission | None = None
    admitted = math.inf
    """When it was admitted (steady clock), if that may be too long ago when its turn comes."""
    overtaken: Callable[[Cycle, Admission], bool]
    """Asked right before the application is called: True when the request has been answered without it."""
    _head = b""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application to the end of its response, whatever happens in it."""
        slot = self.slot
        if slot is not None:
            slot.occupy()
        try:
            if self.admission is not None and self._overtaken(self.admission):
                return
            await app(self.scope, self.receive, self.send)
            if not self.response_complete:
                await self._unfinished()
        except BaseException as error:  # noqa: BLE001  as uvicorn: an ASGI task never fails
            await self._failed(error)
        finally:
            self.on_response = _nothing
            if slot is not None:
                slot.release()

    def _overtaken(self, admission: Admission) -> bool:
        return (admission.behind or self.admitted is not math.inf) and self.overtaken(self, admission)

    async def send(self, message: ASGISendEvent) -> None:
        """Take one message of the response."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._start(message)
        elif not self.response_complete:
            self._continue(message)
        else:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r} after the response was complete")

    def _start(self, message: Any) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError(f"expected ASGI message 'http.response.start', got {message['type']!r}")
        self.response_started = True
        self.waiting_for_100_continue = False
        if self.keep_alive and self.state.draining and not self.has_more():
            self.keep_alive = False
        status = message["status"]
        parts = [STATUS_LINE[status]]
        says_close = False
        for given, value in [*self.default_headers, *message.get("headers", ())]:
            name = _names.get(given) or _checked(given)
            if _BAD_VALUE.search(value):
                raise RuntimeError("invalid HTTP header value")
            if name == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length = 0
                self.chunked_encoding = True
            elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
                self.keep_alive = False
                says_close = True
            parts += (name, b": ", value, b"\r\n")
        if block := message.get(HEAD_BLOCK):
            parts.append(block)
        if not self.keep_alive and not says_close:
            parts.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)
        if self.chunked_encoding:  # a stream: its reader may be waiting for the head
            self._write(b"")

    def _continue(self, message: Any) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"expected ASGI message 'http.response.body', got {message['type']!r}")
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            self._write(b"")
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._write(chunk if more else chunk + b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("Response content longer than Content-Length")
            self._write(body)
        if not more:
            if self.expected_content_length:
                raise RuntimeError("Response content shorter than Content-Length")
            self.complete()

    def complete(self) -> None:
        """The last byte is written."""
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, data: bytes) -> None:
        head = self._head
        if head:
            self._head = b""
            if len(data) <= _JOIN_BYTES:
                data = head + data
            else:
                self.transport.write(head)
        if data:
            self.transport.write(data)

    async def _unfinished(self) -> None:
        if self.disconnected:
            return
        logger.error(
            "the application returned without a complete response",
            path=self.scope["path"],
            started=self.response_started,
        )
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    async def _failed(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError) and self.state.cancelling:
            await self._answer_cancelled()
            return
        logger.error("exception in the ASGI application", exc_info=error)
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    async def _answer_cancelled(self) -> None:
        if self.response_complete or self.disconnected:
            return
        if self.response_started:
            self.disconnected = True  # a response cut short must not look complete: no terminator follows
            self.transport.close()
            return
        headers = [(b"content-length", b"0"), (b"connection", b"close"), (b"retry-after", b"1")]
        await self.send({"type": "http.response.start", "status": 503, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has received for this connection and we have not read."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))
    except OSError:
        return 0
    return int(count)


def has_left(transport: asyncio.Transport) -> bool:
    """True when the kernel knows that the other side has closed, whatever of it we have not read."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), _HANG_UP)
    return bool(poll.poll(0))


def _checked(given: bytes) -> bytes:
    if _BAD_NAME.search(given):
        raise RuntimeError("invalid HTTP header name")
    name = given.lower()
    if len(_names) < _MOST_NAMES:
        _names[given] = name
    return name


def _nothing() -> None:
    return None
