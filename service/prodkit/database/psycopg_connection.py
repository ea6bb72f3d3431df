"""A psycopg connection that gives a statement up. Imported only where PostgreSQL is used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import errors


class LimitedConnection(psycopg.AsyncConnection[Any]):
    """Closes itself when the server does not answer a statement in time.

    Cancelling the task instead would hold the caller up: psycopg then asks the server, which hangs, to cancel,
    and waits twice 5 s for that (`AsyncConnection.wait`).
    """

    limit: Callable[[], float]

    @classmethod
    def connector(
        cls, seconds: float, own: Callable[[], float]
    ) -> Callable[..., Awaitable[LimitedConnection]]:
        """A function that connects. `own` gives the current task's limit, 0 for the general one `seconds`."""

        async def connect(*arguments: Any, **parameters: Any) -> LimitedConnection:
            connection = await cls.connect(*arguments, **parameters)
            connection.limit = lambda: own() or seconds
            return connection

        return connect

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ASYNC109  psycopg's signature
        """Wait for a step of the protocol; see `psycopg.AsyncConnection.wait`."""
        limit = self.limit() if timeout is None and hasattr(self, "limit") else timeout
        try:
            return await super().wait(gen, interval, limit)
        except errors._WaitTimeout:  # noqa: SLF001  has no public name; a test notices when it goes
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {limit:g} s") from None
