"""How long this process waits for one statement. The server's own limits do not end a wait for a server that hangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seconds: ContextVar[float] = ContextVar("prodkit_statement_seconds", default=0.0)


@contextmanager
def statement_limit(seconds: float) -> Iterator[None]:
    """Inside, no statement of this task is waited for longer than this."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


def current_limit() -> float:
    """The limit of this task; 0 when it has none of its own."""
    return _seconds.get()
