"""The catalogue under every kind of client, told to leave: nothing is lost."""

from __future__ import annotations

import asyncio
import collections
import json
from pathlib import Path

import httpx

from tests.service.clients import connect, keep_alive_client, request
from tests.service.processes import eventually, run_service

ENV = {
    "CATALOG_PORT": "0",
    "CATALOG_ADMIN_PORT": "0",
    "CATALOG_HOST": "127.0.0.1",
    "CATALOG_PROPAGATION_SECONDS": "1",
    "CATALOG_QUIET_SECONDS": "0.5",
    "CATALOG_DRAIN_SECONDS": "10",
}
LIST = "/products?limit=2"


async def test_no_client_of_any_kind_loses_a_request(tmp_path: Path) -> None:
    async with run_service("-m", "catalog", log=tmp_path / "log", env=ENV) as service:
        address = ("127.0.0.1", service.port)
        await _fill(service.port)
        results: dict[str, list[str]] = {"keep-alive": [], "fresh": [], "pipelined": []}
        stop = asyncio.Event()
        batches = {
            "keep-alive": (request(LIST), 1),
            "fresh": (request(LIST, headers="Connection: close\r\n"), 1),
            "pipelined": (request(LIST) * 4, 4),
        }
        async with connect(address) as upload, connect(address) as export, asyncio.TaskGroup() as group:
            for kind, (batch, depth) in batches.items():
                for _ in range(3):
                    group.create_task(
                        keep_alive_client(
                            lambda: address, batch, depth=depth, pause=0.01, results=results[kind], stop=stop
                        )
                    )
            body = json.dumps(
                {"sku": "LATE-1", "name": "Late", "category": "storage", "priceCents": 1}
            ).encode()
            slow = request("/products", method="POST", body=body)
            upload.send(slow[:-10])
            export.send(request("/products/export"))  # about 1 MB that nobody reads yet

            async def under_way() -> bool:
                metrics = (await service.admin("/metrics")).text
                return "http_server_active_requests 2.0" in metrics and all(results.values())

            await eventually(under_way, what="all clients at work")
            service.stop()

            async def draining() -> bool:
                return (await service.admin("/readyz")).status_code == 503

            await eventually(draining, what="readiness off")
            upload.send(slow[-10:])
            created = await upload.receive()
            exported = await export.receive()
            await asyncio.sleep(
                0.4
            )  # inside of the propagation wait: new connections still have to be served
            stop.set()  # what the end of propagation means: nobody comes any more
        assert await service.wait(15) == 0

    counts = {kind: collections.Counter(answers) for kind, answers in results.items()}
    assert {kind: set(count) for kind, count in counts.items()} == {kind: {"ok"} for kind in counts}
    assert created.status == 201
    assert len(exported.body.splitlines()) >= 512


async def _fill(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for number in range(500):
            product = {
                "sku": f"BULK-{number}",
                "name": "Bulk",
                "category": "storage",
                "priceCents": number,
                "description": "x" * 2000,
            }
            assert (await client.post("/products", json=product)).status_code == 201
