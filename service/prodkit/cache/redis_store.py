"""The shared store of a cache on Redis: short time-outs, no retries, a breaker, one round trip a step."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from prodkit.breaker import Breaker, BreakerOpenError, BreakerPolicy
from prodkit.cache.store import Lease, StoreError

OPERATION_SECONDS = 0.1
"""Far above what Redis takes (under a millisecond), far below what a caller notices."""
_BREAKER = BreakerPolicy(in_a_row=3, open_seconds=0.5, max_open_seconds=5.0)
_TOMBSTONE_MS = 60_000
"""Longer than any load takes: one that began before a `forget` ends within this time."""
_FAILURES_MS = 120_000

# started: the store's time (µs) when a load began, so no two steps of a key have the same. Every entry begins with
# a version and that.
_LEASE = """
local won = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
local now = redis.call('TIME')
return {won and 1 or 0, now[1] * 1000000 + now[2], redis.call('GET', KEYS[1])}
"""
_RELEASE = "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end\n"
_WRITE = (
    """
local kept = redis.call('GETRANGE', KEYS[1], 0, 31)
local started = tonumber(string.match(kept, '^1 (%d+)'))
if not started or started < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  redis.call('DEL', KEYS[3])
end
"""
    + _RELEASE
)
_HOLD = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local failures = redis.call('INCR', KEYS[3])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
local pause = ARGV[2 + math.min(failures, #ARGV - 2)]
redis.call('SET', KEYS[2], 'failed', 'PX', pause)
return tonumber(pause)
"""
_FORGET = """
local now = redis.call('TIME')
local started = now[1] * 1000000 + now[2]
redis.call('SET', KEYS[1], string.format('1 %d 0 0 0\\n', started), 'PX', ARGV[1])
redis.call('DEL', KEYS[2])
"""


class RedisStore:
    """`prodkit.cache.store.Store` on a `redis.asyncio` client (see `prodkit.redis_client.connect_redis`)."""

    def __init__(
        self, client: Any, *, breaker: Breaker | None = None, operation_seconds: float = OPERATION_SECONDS
    ) -> None:
        self._client = client
        self._seconds = operation_seconds
        self.breaker = breaker or Breaker("redis", _BREAKER)
        """Open while Redis does not answer; metrics and readiness may look at it."""
        self._lease = client.register_script(_LEASE)
        self._write = client.register_script(_WRITE)
        self._hold = client.register_script(_HOLD)
        self._release = client.register_script(_RELEASE)
        self._forget = client.register_script(_FORGET)

    async def ping(self) -> None:
        """Raise when Redis does not answer. Past the breaker: it is what finds out that it is back."""
        async with asyncio.timeout(self._seconds):
            await self._client.ping()

    async def generation(self, namespace: str) -> int:
        """See `Store.generation`."""
        return int(await self._do("generation", self._client.get(f"{namespace}:generation")) or 0)

    async def read(self, key: str) -> bytes | None:
        """See `Store.read`."""
        stored: bytes | None = await self._do("read", self._client.get(_keys(key)[0]))
        return stored

    async def lease(self, key: str, token: str, seconds: float) -> Lease:
        """See `Store.lease`."""
        won, started, stored = await self._do(
            "lease", self._lease(keys=_keys(key), args=[token, _ms(seconds)])
        )
        return Lease(bool(won), int(started), stored)

    async def write(self, key: str, token: str, started: int, value: bytes, seconds: float) -> None:
        """See `Store.write`."""
        await self._do("write", self._write(keys=_keys(key), args=[token, started, value, _ms(seconds)]))

    async def hold(self, key: str, token: str, pauses: list[float]) -> float:
        """See `Store.hold`."""
        arguments = [token, _FAILURES_MS, *(_ms(pause) for pause in pauses)]
        return float(await self._do("hold", self._hold(keys=_keys(key), args=arguments))) / 1000

    async def release(self, key: str, token: str) -> None:
        """See `Store.release`."""
        await self._do("release", self._release(keys=_keys(key), args=[token]))

    async def forget(self, key: str) -> None:
        """See `Store.forget`."""
        await self._do("forget", self._forget(keys=_keys(key), args=[_TOMBSTONE_MS]))

    async def flush(self, namespace: str) -> None:
        """See `Store.flush`."""
        await self._do("flush", self._client.incr(f"{namespace}:generation"))

    async def _do(self, operation: str, command: Coroutine[Any, Any, Any]) -> Any:
        try:
            with self.breaker.call():
                async with asyncio.timeout(self._seconds):
                    return await command
        except BreakerOpenError:
            command.close()  # never started: no warning about that
            raise StoreError(operation) from None
        except Exception as error:
            raise StoreError(operation) from error


def _keys(key: str) -> list[str]:
    # One hash tag, so that a cluster keeps the three together.
    return [f"{{{key}}}", f"{{{key}}}:lease", f"{{{key}}}:failures"]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
