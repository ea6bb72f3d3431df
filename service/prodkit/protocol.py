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
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from prodkit import correlation, problems
from prodkit.admission import Admission
from prodkit.cycle import Cycle, has_left, unread_bytes
from prodkit.drain import DrainState
from prodkit.limiter import Slot
from prodkit.lingering import LingeringTransport
from prodkit.telemetry import HEAD_BLOCK

logger = structlog.get_logger("prodkit.protocol")

_REJECTIONS = {
    400: "the request is not valid HTTP/1.1",
    408: "the header block did not arrive in time",
    431: "the header block is too large",
}
_EXTENSIONS: dict[str, dict[object, object]] = {HEAD_BLOCK: {}}


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
        self._chunk = 0
        self._head_begun = 0
        self._head_fed = 0
        self._last_byte = 0.0
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
        self.state.accept_others()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.transport, LingeringTransport):
            self.transport.forget()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # lingering: read and thrown away
        self.state.last_activity = self._last_byte = self.loop.time()
        head_continues = self._in_head
        self._chunk = size = len(data)
        if head_continues:
            self._head_fed += size
        super().data_received(data)
        # One long header arrives in many pieces before any callback.
        if head_continues and self._in_head and self._head_fed > self.state.limits.header_bytes:
            self._reject(431)

    # the parser's side

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True
        self._head_begun = self._chunk
        self._head_fed = 0
        self._head_deadline = self._last_byte + self.state.limits.header_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._check_head()
        parser = self.parser
        version = parser.get_http_version()
        path, raw_path, query = _split(self.url)
        method = parser.get_method().decode("ascii")
        keep_alive = version != "1.0" and parser.should_keep_alive()
        if self._is_refused(path):
            self._refuse(method, path, keep_alive)
            return
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # set in connection_made
            "method": method,
            "root_path": self.root_path,
            "path": self.root_path + path,
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "extensions": _EXTENSIONS,
        }
        if parser.should_upgrade() and self._should_upgrade():
            return
        previous = self.cycle
        self.cycle = cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.state = self.state
        cycle.has_more = self._has_more
        if previous is None or previous.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_response_complete(self) -> None:
        """Begin with the next request of the connection, if there is one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._last_byte = self.loop.time()
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
        """About once a second: refuse a header block that takes too long, close a silent connection.

        One look at all connections a second costs less than a timer for every request.
        """
        if not self._is_idle():
            self._head_deadline = now + self.state.limits.header_seconds  # reading may be paused meanwhile
            if self._body_stalls(now):
                self._give_up_body()
        elif self.transport.is_closing():
            return
        elif self._in_head:
            if now > self._head_deadline:
                self._reject(408)
        elif now > (self._head_deadline if self.cycle is None else self._last_byte + self.timeout_keep_alive):
            self.transport.close()

    # inside

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _body_stalls(self, now: float) -> bool:
        """True when it is the client that is waited for, and for too long."""
        cycle = self.cycle
        ours = self.flow.read_paused or cycle.waiting_for_100_continue or cycle.response_started
        return cycle.more_body and not ours and now > self._last_byte + self.state.limits.body_seconds

    def _give_up_body(self) -> None:
        self._reject(408, "the body did not arrive in time", idle=True)
        self.cycle.disconnected = True
        self.cycle.message_event.set()  # the application learns that its client has gone

    def _check_head(self) -> None:
        """Size and number of the header fields, once. They are added up only when they may be too many bytes."""
        limits = self.state.limits
        size = 0
        if self._head_begun + self._head_fed > limits.header_bytes:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > limits.header_count or size > limits.header_bytes:
            self._status = 431
            raise _RejectedError

    def _reject(self, status: int, detail: str = "", *, idle: bool = False) -> None:
        self.state.on_rejected(status)
        context = correlation.make_context(None, None)
        detail = detail or _REJECTIONS[status]
        logger.warning(
            "request refused",
            status=status,
            reason=detail,
            client=self.client[0] if self.client else "",
            request_id=context.request_id,
        )
        if idle or self._is_idle():  # else an answer is on its way on this connection: do not write into it
            self.transport.write(_rejection(status, detail, context, self.server_state.default_headers))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, Cycle)  # noqa: S101  on_headers_complete makes no other
        admission = self.state.admission
        if admission is None:
            super()._start_asgi_task(cycle, app)
        elif admission.admits(cycle.scope["path"]):
            cycle.slot = Slot(admission.limiter)
            cycle.admission = admission
            if admission.limiter.late:  # a first burst has its turn, however long that is
                cycle.admitted = time.monotonic()
            cycle.overtaken = self._overtaken
            super()._start_asgi_task(cycle, app)
        else:
            self._shed(cycle)

    def _overtaken(self, cycle: Cycle, admission: Admission) -> bool:
        """At the first turn of a request: True when it came too late for its caller, or will."""
        if admission.behind and (cycle.disconnected or has_left(self.transport)):
            admission.count_abandoned()
            cycle.disconnected = True
            self.transport.close()
            return True
        if admission.limiter.overdue(time.monotonic() - cycle.admitted):
            self._shed(cycle)
            return True
        return False

    def _is_refused(self, path: str) -> bool:
        """True when it is known that no task will come of this request, and nothing waits for its answer's turn.

        In an overload that is most of them: what is not made for them is there for the others. Of their body nothing is
        kept either, as after any answer: the last cycle is complete.
        """
        admission, previous = self.state.admission, self.cycle
        if admission is None or previous is None or not previous.response_complete:
            return False
        return not self.expect_100_continue and not self.parser.should_upgrade() and admission.refuses(path)

    def _refuse(self, method: str, path: str, keep_alive: bool) -> None:
        self._write_refusal(method, path, self.headers, keep_alive)
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _shed(self, cycle: Cycle) -> None:
        """Answer 503 without a task. What the client still sends of the body is read and thrown away."""
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False  # nobody knows whether the body comes after an answer that was final
        scope = cycle.scope
        self._write_refusal(scope["method"], scope["path"], scope["headers"], cycle.keep_alive)
        cycle.response_started = True
        if (
            self.pipeline and cycle.keep_alive
        ):  # in a turn of its own: thousands of queued requests must not become a recursion
            cycle.response_complete = True
            self.loop.call_soon(self.on_response_complete)
        else:
            cycle.complete()

    def _write_refusal(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], keep_alive: bool
    ) -> None:
        assert self.state.admission is not None  # noqa: S101  nobody else refuses
        rest = self.state.admission.refusal(method, path, headers, self.client)
        head = b"".join(name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers)
        close = b"" if keep_alive else b"connection: close\r\n"
        self.transport.write(STATUS_LINE[503] + head + close + rest)

    def _has_more(self) -> bool:
        """True when another request has come behind this one: parsed, half parsed, or still in the kernel."""
        if self.pipeline or self._in_head:
            return True
        return not self.cycle.more_body and unread_bytes(self.transport) > 0


def _split(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request target."""
    if url[:1] == b"/" and b"#" not in url:
        raw_path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw_path, query = parsed.path or b"", parsed.query or b""
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path, raw_path, query


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
