"""A closed loop of HTTP/1.1 clients that costs less than what it measures: each connection sends its next
request as soon as it has the whole answer to the last one.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def closed_loop(port: int, path: str, *, connections: int, requests: int) -> Counter[int]:
    """Send `requests` over `connections` keep-alive connections to loopback; how often each status came.

    `ConnectionError` when the server closes one of them. Answers need a `Content-Length`.
    """
    loop = asyncio.get_running_loop()
    head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()
    run = _Run(head, requests, loop.create_future())
    clients = [_Client(run) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    try:
        for client in clients:
            client.send_next()
        return await run.done
    finally:
        for client in clients:
            client.close()


class _Run:
    """What all clients share."""

    def __init__(self, head: bytes, requests: int, done: asyncio.Future[Counter[int]]) -> None:
        self.head = head
        self.to_send = self.to_receive = requests
        self.done = done
        self.statuses: Counter[int] = Counter()

    def received(self, status: int) -> None:
        self.statuses[status] += 1
        self.to_receive -= 1
        if self.to_receive == 0 and not self.done.done():
            self.done.set_result(self.statuses)

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def send_next(self) -> None:
        if self._run.to_send > 0 and self._transport is not None:
            self._run.to_send -= 1
            self._transport.write(self._run.head)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < total:
            return
        status = int(self._buffer[9:12])
        self._buffer = self._buffer[total:]
        self._run.received(status)
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._run.failed(exc or ConnectionError("the server closed a connection: read its log"))

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
