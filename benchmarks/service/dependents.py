"""The services that depend on others, for the benchmarks that take those away.

    python -m benchmarks.service.dependents catalog PORT    settings: CATALOG_*
    python -m benchmarks.service.dependents hot PORT        settings: REDIS_URL, ORIGIN_LOG

`hot` keeps what a slow origin says: `/hot` for a second, `/long` for an hour. Each call of the origin is one line in
the file ORIGIN_LOG: the key, and when. Without the limiter: callers of a cold key wait, and are to be waited for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from catalog.app import create_catalog
from catalog.settings import CatalogSettings
from prodkit import App, Check, Settings, create_app, run
from prodkit.cache import Cache, Policy, shared_cache
from prodkit.cache.redis_store import RedisStore
from prodkit.redis_client import connect_redis

SOFT_SECONDS = 1.0
ORIGIN_SECONDS = 0.3


def catalog(port: int) -> None:
    """The catalogue, as its environment says."""
    run(create_catalog(CatalogSettings.load(host="127.0.0.1", port=port)))


def hot(port: int) -> None:
    """Two keys that everybody asks for, kept in Redis for all processes."""
    client = connect_redis(os.environ["REDIS_URL"])
    store = RedisStore(client)
    log = Path(os.environ["ORIGIN_LOG"])

    def keep(namespace: str, soft: float) -> Cache[int]:
        policy = Policy(soft_seconds=soft, stale_seconds=30)
        return shared_cache(namespace, policy, store=store, value_type=int, app="bench")

    caches = {"hot": keep("hot", SOFT_SECONDS), "long": keep("long", 3600)}

    @asynccontextmanager
    async def lifespan(_app: App) -> AsyncIterator[None]:
        yield
        for cache in caches.values():
            await cache.close()
        await client.aclose()

    settings = Settings.load(name="bench", host="127.0.0.1", port=port, admin_port=0, overload_limit=False)
    checks = [
        Check("redis", store.ping, critical=False)
    ]  # before it is ready: a first connection takes its time
    app = create_app(settings, lifespan=lifespan, checks=checks)

    @app.get("/{key}")
    async def read(key: str) -> int:
        return await caches[key].get("key", lambda: ask_origin(key, log))

    run(app)


async def ask_origin(key: str, log: Path) -> int:
    """What the slow origin says; one line in the log for each call."""
    with log.open("a") as file:  # one short write at the end: processes do not mix theirs up
        file.write(f"{key} {time.time()}\n")
    await asyncio.sleep(ORIGIN_SECONDS)
    return 7


_SERVICES: dict[str, Callable[[int], None]] = {"catalog": catalog, "hot": hot}

if __name__ == "__main__":
    _SERVICES[sys.argv[1]](int(sys.argv[2]))
