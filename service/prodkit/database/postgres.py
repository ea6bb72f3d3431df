"""PostgreSQL by psycopg 3: verified TLS, a pool that fails fast, and an end to every wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from prodkit.database.limits import current_limit

_RECYCLE_SECONDS = 1800  # moves connections to a new primary or through a proxy's own limit in time
_AUTHENTICATION_FAILED = ("28P01", "28000")  # SQLSTATE: wrong password, refused by pg_hba.conf


class DatabaseUrlError(ValueError):
    """The address cannot be used; the message says what to write and never shows a password."""


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How to reach a database."""

    url: str
    """`postgresql://user@host:5432/name`; TLS is verified unless it says otherwise (`?sslmode=disable`)."""
    ca_file: str = ""
    """Authority of the server's certificate; empty takes the system's. Read anew for every connection."""
    passwords: Callable[[], Sequence[str]] = tuple
    """Passwords to try, in this order, at every new connection; none takes that of the URL."""
    application: str = "prodkit"
    """Name that the server shows, for example that of the pod."""
    pool_size: int = 10
    pool_seconds: float = 0.5
    """Longest wait for a connection of the pool; then the caller gets 503."""
    connect_seconds: int = 2
    statement_seconds: float = 3.0
    """Longest statement: ended by the server, and given up here half a second later if the server hangs."""
    lock_seconds: float = 2.0
    """Longest wait for a lock."""


def parse_url(url: str, *, ca_file: str = "", only_verified: bool = False) -> URL:
    """The address with TLS settings. DatabaseUrlError when it cannot be used.

    `only_verified` refuses every `sslmode` but `verify-full`: all others let somebody in between read along.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUrlError("is no address: write postgresql://user@host:5432/name") from None
    if parsed.get_backend_name() != "postgresql" or not parsed.database:
        raise DatabaseUrlError("is not for PostgreSQL: write postgresql://user@host:5432/name")
    mode = parsed.query.get("sslmode", "verify-full")
    if only_verified and mode != "verify-full":
        raise DatabaseUrlError(f"sslmode {mode!r} does not prove who answers: write sslmode=verify-full")
    tls = {"sslmode": str(mode)}
    if mode != "disable":
        tls["sslrootcert"] = ca_file or str(parsed.query.get("sslrootcert", "system"))
    return parsed.set(drivername="postgresql+psycopg").update_query_dict(tls)


def postgres_engine(options: PostgresOptions, **engine: Any) -> AsyncEngine:
    """An engine with a pool; opens nothing. DatabaseUrlError for an address that cannot be used."""
    from prodkit.database.psycopg_connection import LimitedConnection  # noqa: PLC0415  only who uses it pays

    made = create_async_engine(
        parse_url(options.url, ca_file=options.ca_file),
        pool_size=options.pool_size,
        max_overflow=0,
        pool_timeout=options.pool_seconds,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_SECONDS,
        connect_args=_connect_arguments(options)
        | {"async_creator_fn": LimitedConnection.connector(options.statement_seconds + 0.5, current_limit)},
        **engine,
    )
    _use_passwords(made.sync_engine, options)
    return made


def postgres_engine_for_migrations(options: PostgresOptions) -> Engine:
    """A plain engine without pool and statement limit: a migration may take its time."""
    made = create_engine(
        parse_url(options.url, ca_file=options.ca_file),
        poolclass=NullPool,
        connect_args={"connect_timeout": 10, "application_name": f"{options.application} migrate"},
    )
    _use_passwords(made, options)
    return made


def _connect_arguments(options: PostgresOptions) -> dict[str, Any]:
    limits = {
        "statement_timeout": options.statement_seconds,
        "lock_timeout": options.lock_seconds,
        "idle_in_transaction_session_timeout": 4 * options.statement_seconds,
    }
    return {
        "connect_timeout": options.connect_seconds,
        "application_name": options.application[:63],
        "options": " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()),
        # A host that is gone sends no FIN: found out in 20 s instead of two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }


def _use_passwords(engine: Engine, options: PostgresOptions) -> None:
    """Try each password in turn: while one is being changed, the server may know the old or the new one."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        candidates = list(options.passwords())
        for number, password in enumerate(candidates):
            parameters["password"] = password
            try:
                return dialect.connect(*arguments, **parameters)
            except dialect.dbapi.OperationalError as error:
                last = number == len(candidates) - 1
                if last or not refuses_password(error):
                    raise
        return None  # no candidates: SQLAlchemy connects as the URL says


def refuses_password(error: Exception) -> bool:
    """Whether the server answered that it does not accept this user with this password."""
    state = getattr(error, "sqlstate", None)
    return state in _AUTHENTICATION_FAILED or "authentication failed" in str(error)
