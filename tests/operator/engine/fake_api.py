"""An API server of one kind, for faults that a real one cannot be asked for. Speaks only what the client needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from productionservice.engine.client import Client, Resource
from productionservice.engine.login import Login

THINGS = Resource("v1", "services")
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def thing(name: str, version: int = 1, uid: str = "", **labels: str) -> dict[str, Any]:
    """An object in JSON form."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "labels": labels}}


class FakeApi:
    """Objects, watches on them, and faults that are answered instead: each is used once."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.lists: deque[Fault] = deque()
        self.watches: deque[Fault] = deque()
        self.writes: deque[Fault] = deque()
        self.seen: list[str] = []
        """`list`, `watch <version>` and `METHOD path` of every request, in order."""
        self.oldest = 0
        """Watches from before this version are answered 410."""
        self._streams: list[asyncio.Queue[dict[str, Any] | None]] = []
        self._history: list[dict[str, Any]] = []

    def put(self, name: str) -> None:
        """Add or change an object; watches are told."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.version += 1
        self.objects[name] = thing(name, self.version)
        self._tell({"type": kind, "object": self.objects[name]})

    def delete(self, name: str) -> None:
        """Remove an object; watches are told."""
        self.version += 1
        gone = self.objects.pop(name)
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self._tell({"type": "DELETED", "object": gone})

    def send(self, event: dict[str, Any]) -> None:
        """Put any line into the running watches."""
        for stream in self._streams:
            stream.put_nowait(event)

    def cut(self) -> None:
        """End all running watches."""
        for stream in self._streams:
            stream.put_nowait(None)
        self._streams.clear()

    def forget_history(self) -> None:
        """As after a compaction: watches can only begin from now."""
        self._history.clear()
        self.oldest = self.version

    def versions(self) -> dict[str, str]:
        """Resource version of each object."""
        return {name: body["metadata"]["resourceVersion"] for name, body in self.objects.items()}

    @property
    def watching(self) -> int:
        """Number of running watches."""
        return len(self._streams)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of this server."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        server = TestServer(app)
        await server.start_server()
        try:
            async with Client(Login(server=str(server.make_url("")).rstrip("/"), ca=None)) as client:
                yield client
        finally:
            self.cut()
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.seen.append(f"{request.method} {request.path}")
            return await self.writes.popleft()(request)
        if request.query.get("watch"):
            self.seen.append(f"watch {request.query['resourceVersion']}")
            return await self.watches.popleft()(request) if self.watches else await self._watch(request)
        self.seen.append("list")
        return await self.lists.popleft()(request) if self.lists else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        """Pages by offset, so that paging is exercised with few objects."""
        names = sorted(self.objects)
        start, limit = int(request.query.get("continue") or 0), min(int(request.query["limit"]), 2)
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(names):
            metadata["continue"] = str(start + limit)
        items = [self.objects[name] for name in names[start : start + limit]]
        return web.Response(body=orjson.dumps({"metadata": metadata, "items": items}))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if since < self.oldest:
            await response.write(
                orjson.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}) + b"\n"
            )
            return response
        stream: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        for event in self._history:
            if int(event["object"]["metadata"]["resourceVersion"]) > since:
                stream.put_nowait(event)
        self._streams.append(stream)
        while (event_or_end := await stream.get()) is not None:
            await response.write(orjson.dumps(event_or_end) + b"\n")
        return response

    def _tell(self, event: dict[str, Any]) -> None:
        self._history.append(event)
        self.send(event)


def answer(
    status: int, message: str = "", headers: dict[str, str] | None = None, **status_object: Any
) -> Fault:
    """A fault that answers with a Status object."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        body = orjson.dumps({"kind": "Status", "code": status, "message": message, **status_object})
        return web.Response(status=status, body=body, headers=headers)

    return respond


async def reset(request: web.Request) -> web.StreamResponse:
    """A fault that drops the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `check` holds; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - the condition is in the code under test, which has no Event for it
            await asyncio.sleep(0.005)
