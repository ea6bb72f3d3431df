"""PostgreSQL and Redis stop answering, or come and go, under the catalogue: who notices.

The catalogue runs on a real PostgreSQL and a real Redis; each fault is followed by a time in which readiness may come
back. `cached` reads one product, `other` is a route that needs nobody, `uncached` lists products from the database.
Paused means SIGSTOP: connections stay open, nothing is answered. Beside it, on the same processor, runs a catalogue
that depends on nobody: `alone` is the same route of that one at the same time. A busy machine slows both.

Then the same faults (those that flap a third as long) under the catalogues of a careful team and of the tutorials
(`others.py`), of which nothing is asked. Each fault meets a new process of theirs: what one did to it does not count
for the next.

    python -m benchmarks.service faults                 about 8 minutes
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
_OTHER_PATH = "/version"
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 1.0  # Kubernetes' own time-out of a probe
_OTHERS = ("peer", "tutorial")
_OTHERS_POLL_SECONDS = 0.3  # their probes ask the database: more of them would be a load of ours
_OTHERS_RECOVERY_SECONDS = 5.0

Fault = Callable[[Server, float], Awaitable[None]]
Faults = dict[str, tuple[Server, Fault]]
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
    with postgres_server() as postgres, redis_server() as redis:
        figures = _faulted(postgres, redis, seconds)
    return report("bench-service-faults", figures, {"seconds": seconds, **machine()})


def _faulted(postgres: Server, redis: Server, seconds: float) -> list[Figure]:
    database = f"postgresql://app:first@127.0.0.1:{postgres.port}/app?sslmode=disable"
    cache = f"redis://127.0.0.1:{redis.port}"
    migrate_database(CatalogSettings.load(database_url=database))
    faults: Faults = {
        "postgres_paused": (postgres, _paused),
        "redis_hung": (redis, _paused),
        "postgres_flapping": (postgres, _flapping),
        "redis_flapping": (redis, _flapping),
    }
    go_first(0)
    admin = free_port()
    env = {"CATALOG_DATABASE_URL": database, "CATALOG_REDIS_URL": cache, "CATALOG_ADMIN_PORT": str(admin)}
    with _catalog("catalog", env) as server, _catalog("catalog", {"CATALOG_ADMIN_PORT": "0"}) as alone:
        product = asyncio.run(_add_product(server.port))
        figures = asyncio.run(_measure(server.port, alone.port, admin, product, faults, seconds))
    env = {"DATABASE_URL": database, "REDIS_URL": cache}
    for stack in _OTHERS:
        for name, (faulty, fault) in faults.items():
            figures += _other(stack, name, env, product, faulty, fault, seconds)
    return figures


@contextlib.contextmanager
def _catalog(
    service: str, env: dict[str, str], *, module: str = "benchmarks.service.dependents"
) -> Iterator[Process]:
    cpu, _ = processors()
    with serve(service, service, module=module, cpu=cpu, env=env) as server:
        go_first(server.pid)
        yield server


async def _add_product(port: int) -> str:
    product = {"sku": "LAMP-1", "name": "Lamp", "category": "lighting", "priceCents": 4900}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        made = (await client.post("/products", json=product)).raise_for_status().json()
    return str(made["id"])


async def _measure(  # noqa: PLR0917  what one run is made of
    port: int, alone: int, admin: int, product: str, faults: Faults, seconds: float
) -> list[Figure]:
    clients = _clients(port, product) | {"alone": OpenLoop(alone, _OTHER_PATH, timeout=10)}
    figures: list[Figure] = []
    for name, (server, fault) in faults.items():
        sys.stderr.write(f"{name} …\n")
        await _load(clients, 2)
        async with _readiness(admin, _POLL_SECONDS) as seen:
            answers, _ = await asyncio.gather(_load(clients, seconds), fault(server, seconds))
            after = await _load(clients, _RECOVERY_SECONDS)
        figures += _figures(name, answers, after, seen)
    for client in clients.values():
        client.close()
    return figures


def _other(  # noqa: PLR0917  what one run is made of
    stack: str, name: str, env: dict[str, str], product: str, faulty: Server, fault: Fault, seconds: float
) -> list[Figure]:
    sys.stderr.write(f"{stack} {name} …\n")
    with _catalog(f"catalog_{stack}", env, module="benchmarks.service.others") as server:
        length = seconds if fault is _paused else max(5.0, seconds / 3)
        during, after, ready = asyncio.run(_measure_other(server.port, product, faulty, fault, length))
    return _figures_of_other(f"faults_{stack}_{name}", during, after, ready)


async def _measure_other(
    port: int, product: str, server: Server, fault: Fault, seconds: float
) -> tuple[Answers, Answers, list[bool]]:
    clients = _clients(port, product)
    await _load(clients, 2)
    async with _readiness(port, _OTHERS_POLL_SECONDS) as seen:
        answers, _ = await asyncio.gather(_load(clients, seconds), fault(server, seconds))
        after = await _load(clients, _OTHERS_RECOVERY_SECONDS)
    for client in clients.values():
        client.close()
    return answers, after, seen


def _clients(port: int, product: str) -> dict[str, OpenLoop]:
    paths = {"cached": f"/products/{product}", "other": _OTHER_PATH, "uncached": "/products?limit=2"}
    return {name: OpenLoop(port, path, timeout=10) for name, path in paths.items()}


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
async def _readiness(port: int, pause: float) -> AsyncIterator[list[bool]]:
    """What the readiness probe says, before and until the end, `pause` seconds between two of them."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=_PROBE_SECONDS) as client:
        seen = [await _is_ready(client)]

        async def look() -> None:
            while True:
                await asyncio.sleep(pause)
                seen.append(await _is_ready(client))

        looking = asyncio.create_task(look())
        try:
            yield seen
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == OK
    except httpx.HTTPError:  # no answer is a no
        return False


def _figures(name: str, during: Answers, after: Answers, ready: list[bool]) -> list[Figure]:
    added = (_p99(during["other"]) - _p99(during["alone"])) * 1000
    late = [it for it in after["uncached"] if it.due >= _RECOVERY_SECONDS / 2]
    rows: list[tuple[str, float, str, float | None]] = [
        ("readiness_flips", _flips(ready), "flips", 2),
        ("cached_failed", _failed(during["cached"]) + _failed(after["cached"]), "requests", 0),
        ("cached_p99", _p99(during["cached"]) * 1000, "ms", None),
        ("other_failed", _failed(during["other"]), "requests", 0),
        ("other_p99", _p99(during["other"]) * 1000, "ms", None),
        ("other_p99_above_alone", added, "ms", ADDED_P99_MS),
        ("uncached_503", sum(it.status == UNAVAILABLE for it in during["uncached"]), "requests", None),
        ("uncached_neither_200_nor_503", _neither(during["uncached"]), "requests", 0),
        ("uncached_failed_after", _failed(late), "requests", 0),
    ]
    return [
        Figure(f"faults_{name}_{row}", value, unit, goal, at_most=True) for row, value, unit, goal in rows
    ]


def _figures_of_other(name: str, during: Answers, after: Answers, ready: list[bool]) -> list[Figure]:
    return [
        Figure(f"{name}_readiness_flips", _flips(ready), "flips"),
        Figure(f"{name}_not_ready", ready.count(False) / len(ready), "of_probes"),
        Figure(f"{name}_cached_failed", _failed(during["cached"]) + _failed(after["cached"]), "requests"),
        Figure(f"{name}_cached_p99", _p99(during["cached"]) * 1000, "ms"),
        Figure(f"{name}_other_failed", _failed(during["other"]), "requests"),
        Figure(f"{name}_other_p99", _p99(during["other"]) * 1000, "ms"),
        Figure(f"{name}_uncached_neither_200_nor_503", _neither(during["uncached"]), "requests"),
    ]


def _flips(ready: list[bool]) -> int:
    return sum(earlier != later for earlier, later in pairwise(ready))


def _neither(answers: list[Answer]) -> int:
    return sum(it.status not in (OK, UNAVAILABLE) for it in answers)


def _failed(answers: list[Answer]) -> int:
    return sum(it.status != OK for it in answers)


def _p99(answers: list[Answer]) -> float:
    return sorted(it.seconds for it in answers)[int(0.99 * len(answers))]
