"""HTTP/1.1 clients on raw sockets: they see resets, refusals, half responses and `Connection: close`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True)
class Reply:
    """One response as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """The server said that no further request is answered on this connection."""
        return self.headers.get("connection", "").lower() == "close"


class FailedError(Exception):
    """A request got no proper answer; the message is the kind of failure."""


class Connection:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def usable(self) -> bool:
        """What a connection pool checks before it reuses a connection."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    def send(self, data: bytes) -> None:
        """Write without waiting."""
        self.writer.write(data)

    async def receive(self) -> Reply:
        """The next response."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            if headers.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            raise FailedError("half a response" if error.partial else "closed without a response") from error
        except OSError as error:
            raise FailedError("reset") from error
        return Reply(int(status_line.split(" ")[1]), headers, body)

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(parts)

    async def close(self) -> None:
        """Close and wait until it is closed."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def request(path: str, *, method: str = "GET", body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of one request."""
    length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT") else ""
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: test\r\n{length}{kind}{headers}\r\n".encode() + body


@contextlib.asynccontextmanager
async def connect(address: Address) -> AsyncIterator[Connection]:
    """A new connection, closed at the end."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError as error:
        raise FailedError("refused") from error
    connection = Connection(reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


async def keep_alive_client(
    pick: Callable[[], Address],
    batch: bytes,
    *,
    depth: int = 1,
    pause: float = 0.0,
    rtt: float = 0.002,
    results: list[str],
    stop: asyncio.Event,
) -> None:
    """Send `batch` (`depth` pipelined requests) again and again, on one connection while the server keeps it.

    Every answer appends "ok" to `results`, everything else the kind of failure: of a problem its status and what it
    says, so that a refusal can be told from a drain that took too long. `rtt` passes between the
    check that the connection is usable and the write, as it does between two machines.
    """
    while not stop.is_set():
        try:
            async with connect(pick()) as connection:
                while not stop.is_set() and connection.usable():
                    await asyncio.sleep(rtt)
                    if not await _one_batch(connection, batch, depth, results):
                        break
                    await asyncio.sleep(pause)
        except FailedError as failure:
            results.append(str(failure))
            await asyncio.sleep(0.01)


async def _one_batch(connection: Connection, batch: bytes, depth: int, results: list[str]) -> bool:
    connection.send(batch)
    for number in range(depth):
        reply = await connection.receive()
        results.append("ok" if reply.status == 200 else f"status {reply.status} {_detail(reply)}".rstrip())
        if reply.closes:
            results.extend(["pipelined unanswered"] * (depth - 1 - number))
            return False
    return True


def _detail(reply: Reply) -> str:
    if reply.headers.get("content-type") != "application/problem+json":
        return ""
    return str(json.loads(reply.body).get("detail", ""))
