"""The ids that hold one request together across services: request id and W3C trace context.

`current()` is the context of the request being handled, in any code below it; `propagation_headers()` is
what an outgoing call has to carry.
"""

from __future__ import annotations

import os
import re
import time
from contextvars import ContextVar
from typing import NamedTuple

from prodkit import contract

_REQUEST_ID = re.compile(contract.REQUEST_ID_PATTERN.removeprefix("^").removesuffix("$").encode())
# W3C Trace Context, section 3.2: version 00 has exactly four fields, later versions may append more.
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACEPARENT_MAX_BYTES = 256
_NOT_SAMPLED = "00"
_SAMPLED = "01"
_ODD_DIGITS = frozenset("13579bdf")
_POOL_BYTES = 4096


class _Random:
    """Random hex digits out of one system call for many requests."""

    def __init__(self) -> None:
        self._digits = ""
        self._next = 0
        os.register_at_fork(after_in_child=self._forget)  # two processes must not hand out the same digits

    def take(self, count: int) -> str:
        """`count` hex digits that nobody has had before."""
        begin = self._next
        self._next = end = begin + count
        if end > len(self._digits):
            self._digits = os.urandom(_POOL_BYTES).hex()
            begin, self._next = 0, count
        return self._digits[begin : begin + count]

    def _forget(self) -> None:
        self._digits = ""


_random = _Random()


class RequestContext(NamedTuple):
    """Ids of one request."""

    request_id: str
    """The caller's `X-Request-ID` when it is well-formed, else a new one."""
    trace_id: str
    """32 hex digits; the caller's when `traceparent` is valid, else new."""
    span_id: str
    """16 hex digits; always new: this service's part of the trace."""
    trace_flags: str
    """Two hex digits; `01` when the caller samples the trace."""
    parent_id: str = ""
    """16 hex digits: the caller's part of the trace; empty when the trace begins here."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` header of an outgoing call."""
        return f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}"

    @property
    def sampled(self) -> bool:
        """True when this request's trace is kept: the flags' lowest bit."""
        return self.trace_flags[1] in _ODD_DIGITS


_current: ContextVar[RequestContext | None] = ContextVar("prodkit_request", default=None)


def current() -> RequestContext | None:
    """Context of the request being handled; None outside of one."""
    return _current.get()


def enter(context: RequestContext) -> None:
    """Make `context` the current one, in this task and what it starts."""
    _current.set(context)


def propagation_headers() -> dict[str, str]:
    """Headers for an outgoing call; empty outside of a request."""
    context = _current.get()
    if context is None:
        return {}
    return {contract.REQUEST_ID_HEADER: context.request_id, contract.TRACE_HEADER: context.traceparent}


def new_id() -> str:
    """A 32-digit hex id that sorts by time: 48 bits of milliseconds (as UUIDv7 has them), 80 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{_random.take(20)}"


def make_context(request_id: bytes | None, traceparent: bytes | None, threshold: str = "") -> RequestContext:
    """Context from the raw header values; whatever is missing or malformed is made anew, never passed on.

    A new trace is sampled when the last 16 digits of its id come before `threshold`.
    """
    random = _random.take(68)
    if request_id is not None and _REQUEST_ID.fullmatch(request_id):
        accepted = request_id.decode("ascii")
    else:
        accepted = f"{time.time_ns() // 1_000_000:012x}{random[:20]}"
    trace = parse_traceparent(traceparent) if traceparent is not None else None
    if trace is not None:
        return RequestContext(accepted, trace[0], random[52:68], trace[2], trace[1])
    flags = _SAMPLED if random[36:52] < threshold else _NOT_SAMPLED
    return RequestContext(accepted, random[20:52], random[52:68], flags)


def parse_traceparent(value: bytes) -> tuple[str, str, str] | None:
    """Trace id, parent id and flags of a `traceparent` header; None when it has to be ignored."""
    match = _TRACEPARENT.fullmatch(value) if len(value) <= _TRACEPARENT_MAX_BYTES else None
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return trace_id.decode("ascii"), parent_id.decode("ascii"), flags.decode("ascii")
