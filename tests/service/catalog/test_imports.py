"""Bulk imports: checked as a whole, written in batches, with progress."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from catalog.imports import service as imports_service
from prodkit import Problem
from tests.service.catalog.applications import catalog, client_of
from tests.service.processes import eventually


def items(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        {"sku": f"NEW-{number}", "name": "New", "category": "storage", "priceCents": number, **changes}
        for number in range(count)
    ]


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"database_url": request.getfixturevalue("database_url")} if request.param == "postgres" else {}


async def finished(client: httpx.AsyncClient, location: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        progress: dict[str, Any] = (await client.get(location)).json()
        assert 0 <= progress["created"] + progress["updated"] <= progress["total"]
        return progress if progress["state"] != "running" else None

    result: dict[str, Any] = await eventually(ended, what="the end of the import")
    return result


async def test_an_import_creates_and_replaces_and_says_how_far_it_is(settings: dict[str, Any]) -> None:
    async with client_of(catalog(**settings)) as client:
        first = await client.post("/imports", json={"items": items(250)})
        assert first.status_code == 202
        assert first.headers["location"] == f"/imports/{first.json()['id']}"
        assert (first.json()["state"], first.json()["total"]) == ("running", 250)
        done = await finished(client, first.headers["location"])
        assert (done["state"], done["created"], done["updated"]) == ("done", 250, 0)

        found = (await client.get("/products", params={"q": "NEW-7", "limit": 1})).json()["items"][0]
        await client.get(f"/products/{found['id']}")  # into the cache
        again = await client.post("/imports", json={"items": items(260, name="Newer")})
        done = await finished(client, again.headers["location"])
        assert (done["state"], done["created"], done["updated"]) == ("done", 10, 250)
        changed = (await client.get(f"/products/{found['id']}")).json()
        assert (changed["name"], changed["version"]) == ("Newer", 2)


async def test_nothing_is_written_when_one_item_is_wrong() -> None:
    async with client_of(catalog(seed=False)) as client:
        wrong = [*items(3), {"sku": "x"}]
        reply = await client.post("/imports", json={"items": wrong})
        assert reply.status_code == 422
        assert "body.items.3.sku" in {error["field"] for error in reply.json()["errors"]}
        twice = await client.post("/imports", json={"items": [*items(2), *items(1)]})
        assert [error["field"] for error in twice.json()["errors"]] == [
            "body.items.0.sku",
            "body.items.2.sku",
        ]
        assert (await client.get("/products")).json()["items"] == []


async def test_an_import_without_its_replica_is_interrupted(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(catalog(**settings)) as client:
        begun = await client.post("/imports", json={"items": items(1)})
        await finished(client, begun.headers["location"])

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(imports_service.ImportService, "_write", hang)
        silent = await client.post("/imports", json={"items": items(1)})
        assert (await client.get(silent.headers["location"])).json()["state"] == "running"
        monkeypatch.setattr(imports_service, "_SILENT", -imports_service._SILENT)
        assert (await client.get(silent.headers["location"])).json()["state"] == "interrupted"


async def test_a_process_that_leaves_marks_its_imports(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(imports_service.ImportService, "_write", hang)
    async with client_of(catalog(database_url=database_url)) as client:
        begun = await client.post("/imports", json={"items": items(1)})
    async with client_of(catalog(database_url=database_url)) as client:
        assert (await client.get(begun.headers["location"])).json()["state"] == "interrupted"


async def test_an_import_that_cannot_be_written_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise Problem(503, "the database does not answer")

    async with client_of(catalog()) as client:
        monkeypatch.setattr(imports_service.ImportService, "_write", fail)
        begun = await client.post("/imports", json={"items": items(1)})
        assert (await finished(client, begun.headers["location"]))["state"] == "failed"


async def test_only_so_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(imports_service.ImportService, "_write", hang)
    async with client_of(catalog()) as client:
        replies = [await client.post("/imports", json={"items": items(1)}) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [202] * 4 + [503]
    assert replies[-1].headers["retry-after"] == "5"


async def test_an_import_that_is_not_there_is_404() -> None:
    async with client_of(catalog()) as client:
        assert (await client.get("/imports/" + "0" * 32)).status_code == 404
