"""A transport whose `close()` is a lingering close."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


class LingeringTransport(asyncio.Transport):
    """Passes everything on; `close()` closes by half, for good at the client's FIN or some seconds later."""

    def __init__(
        self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger_seconds: float
    ) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._linger_seconds = linger_seconds
        self._closing = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self.write = inner.write  # type: ignore[method-assign]  # no extra call on the way of every response

    def close(self) -> None:
        """Send FIN after what is buffered; go on reading so that unread input does not become a reset."""
        if self._closing:
            return
        self._closing = True
        if self._inner.is_closing() or not self._inner.can_write_eof():
            self._inner.close()
            return
        try:
            self._inner.write_eof()
        except (OSError, RuntimeError):  # the client has gone meanwhile
            self._inner.close()
            return
        if self._paused:
            self._inner.resume_reading()
        self._timer = self._loop.call_later(self._linger_seconds, self._inner.close)

    def forget(self) -> None:
        """The connection is gone: no timer is needed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def is_closing(self) -> bool:
        """True as soon as nothing may be written any more."""
        return self._closing or self._inner.is_closing()

    def abort(self) -> None:
        self._closing = True
        self._inner.abort()

    def pause_reading(self) -> None:
        self._paused = True
        if not self._closing:
            self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if not self._inner.is_closing():
            self._inner.resume_reading()

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self._inner.writelines(list_of_data)

    def write_eof(self) -> None:
        self._inner.write_eof()

    def can_write_eof(self) -> bool:
        return self._inner.can_write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)
