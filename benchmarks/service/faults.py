"""PostgreSQL and Redis stop answering, or come and go, under the catalogue: who notices.

The catalogue runs on a real PostgreSQL and a real Redis; each fault is followed by a time in which readiness may come
back. `cached` reads one product, `other` is a route that needs nobody, `uncached` lists products from the database.
Paused means SIGSTOP: connections stay open, nothing is answered. Beside it, on the same processor, runs a catalogue
that depends on nobody: `alone` is the same route of that one at the same time. A busy machine slows both.

    python -m benchmarks.service faults                 about 5 minutes
    python -m benchmarks.service faults --seconds 8     quicker, less exact

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import pairwise

import httpx

from benchmarks.figures import Figure, report
from benchmarks.service.openloop import Answer, OpenLoop
from benchmarks.service.processes import Server as Process
from benchmarks.service.processes import free_port, go_first, machine, processors, serve
from catalog.database import migrate_database
from catalog.settings import CatalogSettings
from tests.service.real.servers import Server, postgres_server, redis_server

OK = 200
UNAVAILABLE = 503
ADDED_P99_MS = 5.0
"""What counts as unchanged: the p99 of two processes that do the same differs by as much on a shared machine."""
_RATES = {"cached": 30.0, "other": 50.0, "alone": 50.0, "uncached": 10.0}
_RECOVERY_SECONDS = 25.0  # a verdict is held for 15 s, and five good checks take 10
_POLL_SECONDS = 0.1

Fault = Callable[[Server, float], Awaitable[None]]
Answers = dict[str, list[Answer]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-faults.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service faults",
        description="Readiness, errors and latency while PostgreSQL or Redis hangs or flaps.",
        epilog="example: python -m benchmarks.service faults --seconds 8",
    )
    parser.add_argument("--seconds", type=float, default=30, help="of each fault (default 30)")
    seconds = parser.parse_args(argv).seconds
    if seconds < 5:
        parser.error(f"--seconds: {seconds} cannot be used: write 5 or more")
    admin = free_port()
    with postgres_server() as postgres, redis_server() as redis:
        url = f"postgresql://app:first@127.0.0.1:{postgres.port}/app?sslmode=disable"
        migrate_database(CatalogSettings.load(database_url=url))
        env = {
            "CATALOG_DATABASE_URL": url,
            "CATALOG_REDIS_URL": f"redis://127.0.0.1:{redis.port}",
            "CATALOG_ADMIN_PORT": str(admin),
        }
        with _catalog(env) as server, _catalog({"CATALOG_ADMIN_PORT": "0"}) as alone:
            go_first(0)
            figures = asyncio.run(_measure(server.port, alone.port, admin, postgres, redis, seconds))
    return report("bench-service-faults", figures, {"seconds": seconds, **machine()})


@contextlib.contextmanager
def _catalog(env: dict[str, str]) -> Iterator[Process]:
    cpu, _ = processors()
    with serve("catalog", "catalog", module="benchmarks.service.dependents", cpu=cpu, env=env) as server:
        go_first(server.pid)
        yield server


async def _measure(  # noqa: PLR0917  what one run is made of
    port: int, alone: int, admin: int, postgres: Server, redis: Server, seconds: float
) -> list[Figure]:
    clients = await _clients(port, alone)
    figures: list[Figure] = []
    faults: dict[str, tuple[Server, Fault]] = {
        "postgres_paused": (postgres, _paused),
        "redis_hung": (redis, _paused),
        "postgres_flapping": (postgres, _flapping),
        "redis_flapping": (redis, _flapping),
    }
    for name, (server, fault) in faults.items():
        sys.stderr.write(f"{name} …\n")
        await _load(clients, 2)
        async with _readiness(admin) as seen:
            answers, _ = await asyncio.gather(_load(clients, seconds), fault(server, seconds))
            after = await _load(clients, _RECOVERY_SECONDS)
        figures += _figures(name, answers, after, seen)
    for client in clients.values():
        client.close()
    return figures


async def _clients(port: int, alone: int) -> dict[str, OpenLoop]:
    product = {"sku": "LAMP-1", "name": "Lamp", "category": "lighting", "priceCents": 4900}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        made = (await client.post("/products", json=product)).raise_for_status().json()
    paths = {"cached": f"/products/{made['id']}", "other": "/version", "uncached": "/products?limit=2"}
    clients = {name: OpenLoop(port, path, timeout=10) for name, path in paths.items()}
    return clients | {"alone": OpenLoop(alone, paths["other"], timeout=10)}


async def _load(clients: dict[str, OpenLoop], seconds: float) -> Answers:
    phases = [client.phase(_RATES[name], seconds) for name, client in clients.items()]
    return dict(zip(clients, await asyncio.gather(*phases), strict=True))


async def _paused(server: Server, seconds: float) -> None:
    await asyncio.to_thread(server.pause)
    await asyncio.sleep(seconds)
    server.resume()


async def _flapping(server: Server, seconds: float) -> None:
    """Half of each second it hangs."""
    for _ in range(int(seconds)):
        await asyncio.to_thread(server.pause)
        await asyncio.sleep(0.5)
        server.resume()
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def _readiness(admin: int) -> AsyncIterator[list[bool]]:
    """What the readiness probe says, every tenth of a second until the end."""
    seen: list[bool] = []

    async def look() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin}") as client:
            while True:
                seen.append((await client.get("/readyz")).status_code == OK)
                await asyncio.sleep(_POLL_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


def _figures(name: str, during: Answers, after: Answers, ready: list[bool]) -> list[Figure]:
    added = (_p99(during["other"]) - _p99(during["alone"])) * 1000
    flips = sum(earlier != later for earlier, later in pairwise(ready))
    neither = sum(it.status not in (OK, UNAVAILABLE) for it in during["uncached"])
    late = [it for it in after["uncached"] if it.due >= _RECOVERY_SECONDS / 2]
    rows: list[tuple[str, float, str, float | None]] = [
        ("readiness_flips", flips, "flips", 2),
        ("cached_failed", _failed(during["cached"]) + _failed(after["cached"]), "requests", 0),
        ("cached_p99", _p99(during["cached"]) * 1000, "ms", None),
        ("other_failed", _failed(during["other"]), "requests", 0),
        ("other_p99", _p99(during["other"]) * 1000, "ms", None),
        ("other_p99_above_alone", added, "ms", ADDED_P99_MS),
        ("uncached_503", sum(it.status == UNAVAILABLE for it in during["uncached"]), "requests", None),
        ("uncached_neither_200_nor_503", neither, "requests", 0),
        ("uncached_failed_after", _failed(late), "requests", 0),
    ]
    return [
        Figure(f"faults_{name}_{row}", value, unit, goal, at_most=True) for row, value, unit, goal in rows
    ]


def _failed(answers: list[Answer]) -> int:
    return sum(it.status != OK for it in answers)


def _p99(answers: list[Answer]) -> float:
    return sorted(it.seconds for it in answers)[int(0.99 * len(answers))]
