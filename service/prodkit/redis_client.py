"""A Redis client that fails fast. The driver is imported here and only when a client is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def connect_redis(
    url: str,
    *,
    seconds: float = 0.1,
    max_connections: int = 32,
    password: Callable[[], str] | None = None,
    ca_file: str = "",
) -> Any:
    """A `redis.asyncio.Redis`; nothing is opened before its first command.

    `url` is `redis://host:port/db` or `rediss://…` (TLS, verified with `ca_file` or the system's authorities).
    `seconds` bounds connecting, writing, reading, and the wait for a free connection. There are no retries:
    redis-py's own would hold a request for ten of them. `password` is asked at every new connection, so that a
    rotated one is used.
    """
    import redis.asyncio as redis  # noqa: PLC0415  costs ~100 ms and 10 MB: only who uses Redis pays
    from redis.asyncio.retry import Retry  # noqa: PLC0415  as above
    from redis.backoff import NoBackoff  # noqa: PLC0415  as above
    from redis.credentials import CredentialProvider  # noqa: PLC0415  as above

    class Credentials(CredentialProvider):
        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            assert password is not None  # noqa: S101  only made with one
            return (password(),)

    options: dict[str, Any] = {}
    if password is not None:
        options["credential_provider"] = Credentials()
    if url.startswith("rediss://"):
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": ca_file or None}
    pool = redis.BlockingConnectionPool.from_url(  # a caller beyond the bound waits, it does not fail
        url,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        **options,
    )
    return redis.Redis.from_pool(pool)
