"""The access log: one JSON line per request, as cheap as it can be.

A line is one call of orjson. The lines of one turn of the event loop go out in one write, at the end of that turn:
nothing waits for a timer, and what is written before a crash is what was answered before it. The process's exit
writes what is left.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

_MOST_LINES = 256  # then they are written although the turn is not over
_ERROR = 500


class AccessLog:
    """Writes the access lines to `stream` (standard output when None).

    `fields` stand on every line. Lines for a stream of the caller's are written at once.
    """

    def __init__(self, fields: Mapping[str, str] | None = None, stream: BinaryIO | None = None) -> None:
        self._stream = stream
        static = dict(fields or {})
        self._middle = {
            level: b'","level":"%b","event":"request",%b' % (level.encode(), _inside(static))
            for level in ("info", "error")
        }
        self._lines: list[bytes] = []
        self._second = -1
        self._second_text = b""
        if stream is None:
            atexit.register(self.flush)

    def write(self, status: int, fields: dict[str, Any]) -> None:
        """Log one request; `fields` is everything but time, level and event, already free of secrets."""
        try:
            body = orjson.dumps(fields)
        except TypeError:  # half a surrogate pair in a path: no valid Unicode, but worth a line all the same
            body = orjson.dumps({name: _encodable(value) for name, value in fields.items()})
        middle = self._middle["error" if status >= _ERROR else "info"]
        self._lines.append(b'{"timestamp":"%b%b%b\n' % (self._now(), middle, body[1:]))
        count = len(self._lines)
        if self._stream is not None or count >= _MOST_LINES:
            self.flush()
        elif count == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what has been logged so far."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        stream = self._stream or sys.stdout.buffer
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more: no reason to fail a request
            stream.write(b"".join(lines))
            stream.flush()

    def _now(self) -> bytes:
        """`2026-01-31T23:59:59.123Z`; all but the milliseconds is made once a second."""
        milliseconds = time.time_ns() // 1_000_000
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (self._second_text, rest)


def _inside(fields: Mapping[str, str]) -> bytes:
    """The JSON of `fields` without its braces, ready for more to follow."""
    return orjson.dumps(fields)[1:-1] + b"," if fields else b""


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
