"""Requests that come when they come, not when the last one was answered: as many users do, and no closed loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

TIMED_OUT = 0
"""Status of a request whose client gave up."""
BROKEN = -1
"""Status of a request whose connection ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was due (seconds from the start of the phase), what came, and how long it took."""

    due: float
    status: int
    seconds: float


class OpenLoop:
    """Clients of one server on loopback; connections are kept and used again."""

    def __init__(self, port: int, path: str, *, timeout: float = 0.5) -> None:
        self._port = port
        self._head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n".encode()
        self._timeout = timeout
        self._idle: deque[_Client] = deque()
        self._open: set[_Client] = set()

    async def preopen(self, connections: int) -> None:
        """Open connections before the load comes: dialling would be a load of its own."""
        self._idle.extend([await self._connect() for _ in range(connections)])

    async def phase(self, rate: float, seconds: float) -> list[Answer]:
        """Send `rate` requests a second, evenly, for `seconds`; returns once each has its answer or gave up."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        tasks = []
        for number in range(int(rate * seconds)):
            due = number / rate
            if (wait := begun + due - loop.time()) > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._one(due)))
        return await asyncio.gather(*tasks)

    def close(self) -> None:
        """Close every connection."""
        for client in list(self._open):
            client.close()

    async def _one(self, due: float) -> Answer:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        client: _Client | None = None
        try:
            async with asyncio.timeout(self._timeout):
                client = self._take() or await self._connect()
                status = await client.ask(self._head)
        except TimeoutError:
            status = TIMED_OUT
        except OSError:
            status = BROKEN
        if client is not None and status > 0:
            self._idle.append(client)
        elif client is not None:
            client.close()
        return Answer(due, status, loop.time() - sent)

    def _take(self) -> _Client | None:
        while self._idle:
            client = self._idle.popleft()
            if client.usable:
                return client
        return None

    async def _connect(self) -> _Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(_Client, "127.0.0.1", self._port)
        self._open.add(client)
        client.on_close = self._open.discard
        return client


class _Client(asyncio.Protocol):
    """One connection with at most one request on it."""

    def __init__(self) -> None:
        self.usable = False
        self.on_close: Callable[[_Client], None] = _ignore
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    async def ask(self, request: bytes) -> int:
        """Send and wait for the whole answer; its status."""
        if self._transport is None:
            raise ConnectionError
        self._answer = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or self._answer is None or self._answer.done():
            return
        head = head.lower()
        _, _, rest = head.partition(b"content-length: ")
        if len(body) >= int(rest.partition(b"\r\n")[0] or 0):
            self.usable = b"connection: close" not in head
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self.on_close(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed"))

    def close(self) -> None:
        """Close for good."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()


def _ignore(_client: _Client) -> None:
    return None
