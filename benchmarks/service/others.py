"""The services of `dependents.py` as others build them: same routes, same rows, same origin, another way to depend.

    python -m benchmarks.service.others catalog_tutorial PORT    settings: DATABASE_URL, REDIS_URL
    python -m benchmarks.service.others catalog_peer PORT        the same
    python -m benchmarks.service.others hot_tutorial PORT        settings: REDIS_URL, ORIGIN_LOG
    python -m benchmarks.service.others hot_peer PORT            the same; also as hot_peer_client_side

`tutorial` is what tutorials show: engine and Redis client with their defaults, cache-aside by hand, a readiness probe
that asks both in its handler. `peer` is what a careful team takes: cashews for the cache with its early expiration (a
value is loaded anew by one process, behind the callers' backs, and kept for when that fails), a pool that fails fast,
a limit on every wait, on the server and in the client, 503 for what the database does not answer, and a readiness
probe with a time-out for which Redis is optional. Where ours has a number, the peer has the same.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import redis.asyncio as redis
from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.service.dependents import SOFT_SECONDS, ask_origin
from benchmarks.service.stacks import on_uvicorn
from catalog.products.repository import ProductRepository
from catalog.products.schemas import Product, ProductPage

_LONG_SECONDS = 3600.0
_STALE_SECONDS = 30.0
_STATEMENT_SECONDS = 3.0
_PROBE_SECONDS = 0.8
_UNAVAILABLE = 503


def hot_tutorial(port: int) -> None:
    """Cache-aside by hand: GET, on a miss ask the origin, SET with its time to live."""
    client = redis.from_url(os.environ["REDIS_URL"])
    log = Path(os.environ["ORIGIN_LOG"])
    fresh = {"hot": SOFT_SECONDS, "long": _LONG_SECONDS}
    app = FastAPI()

    @app.get("/{key}")
    async def read(key: str) -> int:
        if (kept := await client.get(key)) is not None:
            return int(kept)
        value = await ask_origin(key, log)
        await client.set(key, value, ex=int(fresh[key]))
        return value

    on_uvicorn(app, port)


def hot_peer(port: int, *, client_side: bool = False) -> None:
    """cashews: early expiration, one caller a process loads a cold key. `client_side`: values in the process too."""
    cache = _careful_cache(client_side=client_side)
    log = Path(os.environ["ORIGIN_LOG"])

    def keep(key: str, soft: float) -> Callable[[], Awaitable[int]]:
        @cache.early(ttl=int(soft + _STALE_SECONDS), early_ttl=int(soft), key=key)
        async def load() -> int:
            return await ask_origin(key, log)

        return load

    kept = {"hot": keep("hot", SOFT_SECONDS), "long": keep("long", _LONG_SECONDS)}
    app = FastAPI()

    @app.get("/{key}")
    async def read(key: str) -> int:
        return await kept[key]()

    on_uvicorn(app, port)


def catalog_tutorial(port: int) -> None:
    """A session per request from an engine with its defaults, cache-aside, and a probe that asks both."""
    make_session = async_sessionmaker(create_async_engine(_database_url()))
    client = redis.from_url(os.environ["REDIS_URL"])
    app = FastAPI()

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with make_session() as session:
            yield session

    of_request = Depends(get_session)

    @app.get("/products/{product_id}", response_model=Product)
    async def read(product_id: str, session: AsyncSession = of_request) -> Response:
        body: bytes | str | None = await client.get(product_id)
        if body is None:
            product = await ProductRepository(session).get(product_id)
            if product is None:
                raise HTTPException(404)
            body = product.model_dump_json(by_alias=True)
            await client.set(product_id, body, ex=int(SOFT_SECONDS))
        return Response(body, media_type="application/json")

    @app.get("/readyz")
    async def ready(session: AsyncSession = of_request) -> str:
        await session.execute(text("SELECT 1"))
        await client.ping()
        return "ready"

    _add_list_and_version(app, of_request)
    on_uvicorn(app, port)


def catalog_peer(port: int) -> None:
    """A pool that fails fast, limits on every wait, cashews, 503 for what fails, a probe with a time-out."""
    make_session = _careful_sessions()
    cache = _careful_cache()
    app = FastAPI()

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with asyncio.timeout(_STATEMENT_SECONDS + 0.5), make_session() as session:
            yield session

    @cache.early(ttl=300, early_ttl=int(SOFT_SECONDS), key="product:{product_id}")
    async def load(product_id: str) -> Product | None:
        async with asyncio.timeout(_STATEMENT_SECONDS + 0.5), make_session() as session:
            return await ProductRepository(session).get(product_id)

    @app.get("/products/{product_id}")
    async def read(product_id: str) -> Product:
        product: Product | None = await load(product_id)
        if product is None:
            raise HTTPException(404)
        return product

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        async with asyncio.timeout(_PROBE_SECONDS), make_session() as session:
            await session.execute(text("SELECT 1"))
        try:
            await cache.ping()
        except CacheBackendInteractionError:
            return {"database": "up", "cache": "down"}  # it can do without
        return {"database": "up", "cache": "up"}

    _add_list_and_version(app, Depends(get_session))
    app.add_exception_handler(SQLAlchemyError, _unavailable)
    app.add_exception_handler(TimeoutError, _unavailable)
    on_uvicorn(app, port)


def _careful_cache(*, client_side: bool = False) -> Cache:
    """Whatever Redis does, a command takes 0.1 s at most and no error reaches the caller (its default)."""
    cache = Cache()
    cache.setup(
        os.environ["REDIS_URL"],
        socket_timeout=0.1,
        socket_connect_timeout=0.1,
        wait_for_connection_timeout=0.1,
        max_connections=32,
        client_side=client_side,
        secret="of the benchmark",  # noqa: S106  what is pickled is signed
    )
    return cache


def _careful_sessions() -> async_sessionmaker[AsyncSession]:
    engine = create_async_engine(
        _database_url(),
        pool_size=10,
        max_overflow=0,
        pool_timeout=0.5,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 2,
            "options": f"-c statement_timeout={_STATEMENT_SECONDS * 1000:.0f} -c lock_timeout=2000",
        },
    )
    return async_sessionmaker(engine)


def _add_list_and_version(app: FastAPI, of_request: Any) -> None:
    @app.get("/products")
    async def list_products(limit: int = 20, session: AsyncSession = of_request) -> ProductPage:
        found = await ProductRepository(session).list(limit=limit)
        return ProductPage(items=list(found))

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"name": "catalog", "version": "1"}


async def _unavailable(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "try again"}, _UNAVAILABLE, headers={"Retry-After": "1"})


def _database_url() -> str:
    return os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)


_SERVICES: dict[str, Callable[[int], None]] = {
    "catalog_peer": catalog_peer,
    "catalog_tutorial": catalog_tutorial,
    "hot_peer": hot_peer,
    "hot_peer_client_side": partial(hot_peer, client_side=True),
    "hot_tutorial": hot_tutorial,
}

if __name__ == "__main__":
    _SERVICES[sys.argv[1]](int(sys.argv[2]))
