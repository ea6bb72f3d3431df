"""What the catalogue has on Redis, when that has an address: caches (else in the process), and its replicas' news."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from catalog.settings import CatalogSettings
from prodkit.cache import Cache, CacheMetrics, Policy, local_cache, shared_cache
from prodkit.cache.redis_store import RedisStore
from prodkit.fleet import Fleet
from prodkit.redis_client import connect_redis
from prodkit.secrets_watch import SecretWatcher


class Caches:
    """Makes the caches and closes them. `store` and `fleet` are None while they live in the process."""

    def __init__(self, settings: CatalogSettings, secrets: SecretWatcher) -> None:
        self._settings = settings
        self._made: list[Cache[Any]] = []
        self._client: Any = None
        self.store: RedisStore | None = None
        self.fleet: Fleet | None = None
        url = settings.redis_url.get_secret_value()
        if url:
            password = None
            if settings.redis_password_file:
                password = secrets.file("redis-password", settings.redis_password_file)
            self._client = connect_redis(
                url, password=password.value if password is not None else None, ca_file=settings.redis_ca_file
            )
            self.store = RedisStore(self._client)
            self.fleet = Fleet(self._client, app=settings.name)

    def make(self, namespace: str, value_type: Any, metrics: CacheMetrics) -> Cache[Any]:
        """A cache for values of a type."""
        policy = Policy(
            soft_seconds=self._settings.cache_seconds, stale_seconds=self._settings.cache_stale_seconds
        )
        if self.store is None:
            cache = local_cache(namespace, policy, metrics=metrics)
        else:
            cache = shared_cache(
                namespace,
                policy,
                store=self.store,
                value_type=value_type,
                app=self._settings.name,
                metrics=metrics,
            )
        self._made.append(cache)
        return cache

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the caches and the connections at the end."""
        try:
            yield
        finally:
            for cache in self._made:
                await cache.close()
            if self._client is not None:
                await self._client.aclose()
