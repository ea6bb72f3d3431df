"""A small client of the Kubernetes API: aiohttp and orjson (ADR 0002 says why)."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from yarl import URL

from productionservice import metrics
from productionservice.engine.answers import BUSY, NotFound, error_of, retry_after, status_error
from productionservice.engine.limiter import URGENT, WriteLimiter
from productionservice.engine.login import Login
from productionservice.engine.wire import encode
from productionservice.errors import Transient

Body = dict[str, Any]
"""JSON form of an object."""

PAGE, LISTS = 200, 2
"""Objects a page of a list, and lists at the same time: what is parsed at once is what memory peaks at."""
AGAIN_PAGE = 10
"""The same for lists of what is known already: nobody waits for them, and a peak leaves holes among what is kept."""
REQUEST_SECONDS = 15.0
"""Longest time for one request; a request that hangs must not hold a worker for minutes."""
SILENCE_SECONDS = 70.0
"""The API server sends a bookmark about every 60 s: a watch that says nothing for longer is dead."""
WATCH_SECONDS = 290
"""How long one watch request lasts, jittered upwards by half: not all watches end at once."""
READ_TRIES = 3
AGENT = "productionservice-operator"
"""Name of the program in the API server's logs."""
CREATE_ONLY = "1"
"""resourceVersion that no object has (an empty store's revision): with it an apply creates or fails (ADR 0005)."""
_LEASES = "/apis/coordination.k8s.io/"
"""Writes here decide who may write: they never wait, and no fence holds them."""
LIST_IDLE_SECONDS = 1.0
"""A connection of lists is for the next page, not for the next list."""
_PLAIN = "identity"
"""The API server compresses large lists on request. Between neighbours that costs both more than the bytes do."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"


@dataclass(frozen=True)
class Resource:
    """One kind of object in URLs."""

    api_version: str
    plural: str
    metadata_only: bool = False
    """True where the content is none of our business: the API server then sends metadata alone."""

    @property
    def accept_list(self) -> str:
        """Value of the Accept header for a list."""
        return f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" if self.metadata_only else _JSON

    @property
    def accept_watch(self) -> str:
        """Value of the Accept header for a watch."""
        return f"{_JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1" if self.metadata_only else _JSON

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """URL path of an object, or of the collection without a name; all namespaces without one."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        parts = [root, f"namespaces/{namespace}" if namespace else "", self.plural, name, subresource]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch: type ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Body


class _Pool(StrEnum):
    """Whose connections a request takes.

    Each TLS connection has a buffer of 256 KiB in the event loop, which becomes memory as far as an answer has ever
    filled it. One pool gives its connections out in turn: one that has carried a large list would be a watch's next,
    and stay: memory that went up with each of the first lists of everything (`benchmarks.operator.soak`).
    """

    SHORT = "short"
    LIST = "list"
    """Few, and closed after each list."""
    WATCH = "watch"
    """Each new, and closed at its end."""


@dataclass(frozen=True)
class _Call:
    """One request."""

    verb: str
    """For metrics: APPLY and UPDATE tell more than PATCH and PUT."""
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = _JSON
    accept: str = _JSON
    pool: _Pool = _Pool.SHORT

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Client:
    """Connections to the API server. Every method raises an OperatorError when it does not succeed."""

    def __init__(self, login: Login, fence: Callable[[], None] = lambda: None, *, agent: str = AGENT) -> None:
        """`fence` raises when this process must not write: it is asked right before each write."""
        self._login, self._agent = login, agent
        self.fence = fence
        self._limiter = WriteLimiter()
        self._server = URL(login.server)
        self._sessions: dict[_Pool, aiohttp.ClientSession] = {}
        self._listing = asyncio.Semaphore(LISTS)
        self.answered = float("-inf")
        """When the API server last answered anything, by the monotonic clock."""

    async def __aenter__(self) -> Self:
        tls = self._login.ssl_context()
        self._sessions = {
            _Pool.SHORT: self._session(aiohttp.TCPConnector(limit=0, ssl=tls)),
            _Pool.LIST: self._session(
                aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=LIST_IDLE_SECONDS)
            ),
            _Pool.WATCH: self._session(aiohttp.TCPConnector(limit=0, ssl=tls, force_close=True)),
        }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=5),
            headers={"User-Agent": self._agent, "Accept-Encoding": _PLAIN},
        )

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        """One object. Raises NotFound."""
        return await self._read(resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str, name: str) -> Body | None:
        """One object by a list of it alone, which whoever watches may ask for. None when there is none."""
        query = {"fieldSelector": f"metadata.name={name}"}
        page = await self._read(resource.path(namespace), query, resource.accept_list)
        return next(iter(page["items"] or ()), None)

    async def pages(
        self, resource: Resource, namespace: str | None = None, selector: str = "", *, size: int = PAGE
    ) -> AsyncIterator[tuple[list[Body], str]]:
        """All objects, `size` a page, each page with the resource version of the whole list.

        Raises Expired when the list took longer than the server remembers: begin again.
        """
        query = {"limit": str(size), **({"labelSelector": selector} if selector else {})}
        async with self._listing:
            while True:
                page = await self._read(resource.path(namespace), query, resource.accept_list, _Pool.LIST)
                metadata = page["metadata"]
                yield page["items"] or [], metadata["resourceVersion"]  # an empty list of metadata is null
                if not metadata.get("continue"):
                    return
                query["continue"] = metadata["continue"]

    async def watch(
        self, resource: Resource, namespace: str | None, selector: str, version: str, *,
        seconds: float = WATCH_SECONDS,
    ) -> AsyncIterator[WatchEvent]:  # fmt: skip
        """What happened since `version`, for about `seconds`; raises Expired for an old version."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(math.ceil(seconds * random.uniform(1, 1.5))),  # noqa: S311 - jitter, no secret
            **({"labelSelector": selector} if selector else {}),
        }
        path = resource.path(namespace)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS)
        try:
            async with self._open(
                _Call("WATCH", "GET", path, query, accept=resource.accept_watch, pool=_Pool.WATCH), timeout
            ) as response:
                async for line in _lines(response.content):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise status_error(event["object"], f"watch {path}")
                    yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Transient(f"watch {path}: {_words(error)}") from error

    async def apply(
        self, resource: Resource, manifest: Mapping[str, Any], *, manager: str, uid: str | None = None,
        version: str | None = None, subresource: str = "",
    ) -> Body:  # fmt: skip
        """Server-side apply; takes over the fields that it names, and those only.

        With `uid` the write is for that very object; with `version` for that very state. Otherwise Conflict.
        """
        metadata = manifest["metadata"]
        conditions = {"uid": uid, "resourceVersion": version}
        body = {
            **manifest,
            "metadata": {**metadata, **{k: v for k, v in conditions.items() if v is not None}},
        }
        path = resource.path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": manager, "force": "true"}
        return await self._request(_Call("APPLY", "PATCH", path, query, body, _APPLY))

    async def create(self, resource: Resource, manifest: Mapping[str, Any], *, manager: str) -> Body:
        """Apply that creates or raises Conflict: an object that exists, whoever made it, is not touched (ADR 0005)."""
        return await self.apply(resource, manifest, manager=manager, version=CREATE_ONLY)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """Delete that very object; what it owns goes after it. No error when it is gone already."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        with contextlib.suppress(NotFound):
            await self._request(_Call("DELETE", "DELETE", resource.path(namespace, name), body=body))

    async def post(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Body:
        """Plain create, for Leases and Events. Raises Conflict when the name is taken."""
        return await self._request(_Call("CREATE", "POST", resource.path(namespace), body=body))

    async def put(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Body:
        """Replace; the body carries its resourceVersion. Raises Conflict when the object has changed since."""
        path = resource.path(namespace, body["metadata"]["name"])
        return await self._request(_Call("UPDATE", "PUT", path, body=body))

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any], *, manager: str = "",
    ) -> Body:  # fmt: skip
        """Merge patch: maps are merged, lists replaced. `metadata.uid` and `resourceVersion` in it are conditions."""
        query = {"fieldManager": manager} if manager else {}
        return await self._request(
            _Call("PATCH", "PATCH", resource.path(namespace, name), query, patch, _MERGE)
        )

    async def _read(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        accept: str = _JSON,
        pool: _Pool = _Pool.SHORT,
    ) -> Body:
        """GET, tried again a few times: reading twice changes nothing."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._request(_Call("GET", "GET", path, query or {}, accept=accept, pool=pool))
            except Transient as error:
                # An answer other than "busy" or "broken" will be the same next time.
                if type(error) is not Transient or attempt == READ_TRIES:
                    raise
                if (error.retry_after or 0.0) > REQUEST_SECONDS:
                    raise  # whoever asked decides what to do meanwhile
                await asyncio.sleep(error.retry_after or 0.1 * 2**attempt)

    async def _request(self, call: _Call) -> Body:
        if call.method != "GET" and not call.path.startswith(_LEASES):
            metrics.WRITE_WAIT.inc(await self._limiter.wait(urgent=URGENT.get()))
            self.fence()  # after the wait, which may have been long
        started = time.monotonic()
        try:
            async with self._open(call) as response:
                answer: Body = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Transient(f"{call}: {_words(error)}") from error
        finally:
            metrics.REQUEST_TIME.labels(call.verb).observe(time.monotonic() - started)
        return answer

    @contextlib.asynccontextmanager
    async def _open(
        self, call: _Call, limits: aiohttp.ClientTimeout | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its answer, if it is a success. Counts it in any case."""
        session = self._sessions.get(call.pool)
        if session is None:
            raise RuntimeError("use `async with Client(…)`")
        token = self._login.token()
        headers = {
            "Accept": call.accept,
            "Content-Type": call.content_type,
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        code = "<error>"
        try:
            async with session.request(
                call.method, self._server.join(URL(call.path)).with_query(dict(call.query)), headers=headers,
                data=None if call.body is None else encode(call.body), allow_redirects=False,
                timeout=limits or session.timeout,
            ) as response:  # fmt: skip
                code, self.answered = str(response.status), time.monotonic()
                if response.status == BUSY:
                    self._limiter.busy(retry_after(response.headers))
                    metrics.WRITE_RATE.set(self._limiter.rate)
                if response.status >= 300:
                    raise error_of(response.status, await response.read(), response.headers, str(call))
                yield response
        finally:
            metrics.REQUESTS.labels(code, call.method, str(self._server.authority)).inc()


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; aiohttp's own reader refuses those over 128 KiB."""
    rest: list[bytes] = []
    async for chunk in stream.iter_any():
        *complete, last = chunk.split(b"\n")
        for part in complete:
            yield b"".join((*rest, part))
            rest.clear()
        if last:
            rest.append(last)


def _words(error: Exception) -> str:
    """An error in words; time-outs have no text of their own."""
    return "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
