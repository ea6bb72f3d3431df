"""Numbers and shared state of the drain: what the server and its connections have to agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uvicorn.server import ServerState

from prodkit.admission import Admission
from prodkit.lifecycle import Lifecycle


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """How a process leaves, in seconds."""

    propagation_wait: float = 5.0
    """Serve as usual at least this long after SIGTERM: new connections still come."""
    drain: float = 20.0
    """Then at most this long, until nothing is in flight."""
    quiet: float = 2.0
    """No connection and no request for this long means that everybody has learnt it."""
    lifespan: float = 5.0
    """Longest time for the application to close. Linger (2) + cancel (2) + this fit into the 10 s reserve."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask of the server."""

    header_bytes: int = 64 * 1024
    header_count: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    """Longest silence within a body."""
    linger_seconds: float = 2.0
    """How long input is read and thrown away after a FIN."""


def _ignore(_status: int) -> None:
    return None


def _no_others() -> None:
    return None


class DrainState(ServerState):
    """uvicorn's state that all connections of a server share, and what the drain needs beside it."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        limits: Limits,
        on_rejected: Callable[[int], None] = _ignore,
        admission: Admission | None = None,
    ) -> None:
        super().__init__()
        self.admission = admission
        self.lifecycle = lifecycle
        self.limits = limits
        self.on_rejected = on_rejected
        self.last_activity = 0.0
        """Loop time of the last new connection or byte."""
        self.accept_others: Callable[[], None] = _no_others
        """Called with each new connection: takes those that wait behind it."""
        self.cancelling = False
        """True once requests are cancelled because the drain took too long."""

    @property
    def draining(self) -> bool:
        """Responses say `Connection: close` from now on."""
        return self.lifecycle.draining
