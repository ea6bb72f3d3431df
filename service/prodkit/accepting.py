"""Takes connections out of the kernel's accept queue, many in a turn of the event loop.

uvloop takes one a turn (libuv since 1.45, https://github.com/libuv/libuv/pull/3696). An overloaded loop turns a hundred
times a second, and then callers wait for seconds before they are seen at all: each has given up when its turn comes,
dials anew behind the others, and nothing gets better, not even when the load goes down. No limiter sees that, since no
turn is long.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

MOST_A_TURN = 64
"""Connections taken in one turn, some two milliseconds: taking two thousand would hold up everybody else."""


class AcceptQueue:
    """What waits at some listeners, beside what the event loop takes by itself."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        make: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`listeners` must not block; `make` gives the protocol of a new connection."""
        self._listeners = listeners
        self._make = make
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._taken = False

    def take(self) -> None:
        """Take up to `MOST_A_TURN` connections of each listener, once a turn of the loop however often it is called."""
        if self._taken:
            return
        self._taken = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        for listener in self._listeners:
            self._take_from(listener)

    def _next_turn(self) -> None:
        self._taken = False

    def _take_from(self, listener: socket.socket) -> None:
        for _ in range(MOST_A_TURN):
            try:
                connection, _ = listener.accept()
            except OSError:  # nobody waits, or has left meanwhile; of too many files the event loop tells
                return
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # has left meanwhile, or cannot do TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._make, connection, ssl=self._tls)
