"""The products API, without sockets, on a real embedded database."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.app import create_catalog
from catalog.seed import sample_products
from catalog.settings import CatalogSettings

LAMP = {
    "sku": "LAMP-9",
    "name": "Lamp",
    "description": "Bright",
    "category": "lighting",
    "priceCents": 1000,
    "currency": "EUR",
}


@pytest.fixture(params=["file", "memory", "postgres"])
async def client(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A catalogue with its samples: on a file, in memory because nothing can be written, on a real PostgreSQL."""
    if request.param == "memory":

        def refuse(**_: object) -> str:
            raise FileNotFoundError(2, "no usable temporary directory")

        monkeypatch.setattr("tempfile.mkdtemp", refuse)
    directory = str(tmp_path) if request.param == "file" else ""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    # As many connections as the tests have writers: on a busy machine one that waits gets its 503.
    app = create_catalog(
        CatalogSettings.load(data_dir=directory, database_url=url, database_pool=20, access_log=False)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://catalog") as client,
    ):
        if request.param == "postgres":
            await add_samples(client)
        yield client


async def add_samples(client: httpx.AsyncClient) -> None:
    """A shared database gets no samples by itself."""
    for sample in sample_products():
        reply = await client.post("/products", json=sample.model_dump(by_alias=True))
        assert reply.status_code == 201


async def create(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    reply = await client.post("/products", json=LAMP | changes)
    assert reply.status_code == 201, reply.text
    created: dict[str, Any] = reply.json()
    return created


async def test_samples_are_there(client: httpx.AsyncClient) -> None:
    page = (await client.get("/products")).json()
    assert len(page["items"]) == 12
    assert page["nextCursor"] is None


async def test_pages_together_are_the_list(client: httpx.AsyncClient) -> None:
    skus: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await client.get("/products", params={"limit": 5, "cursor": cursor})).json()
        assert len(page["items"]) <= 5
        skus += [item["sku"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert len(skus) == len(set(skus)) == 12


async def test_search_and_filter(client: httpx.AsyncClient) -> None:
    found = (await client.get("/products", params={"q": "LaMp", "category": "lighting"})).json()["items"]
    assert {item["sku"] for item in found} == {"LAMP-001", "LAMP-002", "LAMP-003"}
    await create(client, name="100% wool_rug", sku="RUG-1", category="accessories")
    assert [it["sku"] for it in (await client.get("/products", params={"q": "0%"})).json()["items"]] == [
        "RUG-1"
    ]
    assert [it["sku"] for it in (await client.get("/products", params={"q": "l_r"})).json()["items"]] == [
        "RUG-1"
    ]


async def test_create_read_revalidate(client: httpx.AsyncClient) -> None:
    reply = await client.post("/products", json=LAMP)
    assert reply.status_code == 201
    product = reply.json()
    assert reply.headers["location"] == f"/products/{product['id']}"
    assert {key: product[key] for key in LAMP} == LAMP

    read = await client.get(reply.headers["location"])
    assert (read.json(), read.headers["etag"]) == (product, '"1"')
    again = await client.get(reply.headers["location"], headers={"If-None-Match": '"1"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"1"')


async def test_replace_and_delete_need_the_version_that_was_read(client: httpx.AsyncClient) -> None:
    path = f"/products/{(await create(client))['id']}"
    changed = LAMP | {"priceCents": 900}

    assert (await client.put(path, json=changed)).status_code == 428
    assert (await client.put(path, json=changed, headers={"If-Match": "nonsense"})).status_code == 412
    first = await client.put(path, json=changed, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["etag"], first.json()["priceCents"]) == (200, '"2"', 900)
    late = await client.put(path, json=LAMP, headers={"If-Match": '"1"'})
    assert (late.status_code, late.headers["etag"]) == (412, '"2"')
    assert "at version 2" in late.json()["detail"]
    assert (await client.get(path)).json()["priceCents"] == 900  # also through the cache

    assert (await client.delete(path)).status_code == 428
    assert (await client.delete(path, headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.delete(path, headers={"If-Match": "*"})).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path, headers={"If-Match": "*"})).status_code == 404
    assert (await client.put(path, json=LAMP, headers={"If-Match": "*"})).status_code == 404


async def test_of_twenty_writers_with_one_version_exactly_one_wins(client: httpx.AsyncClient) -> None:
    path = f"/products/{(await create(client))['id']}"
    replies = await asyncio.gather(
        *(
            client.put(path, json=LAMP | {"priceCents": price}, headers={"If-Match": '"1"'})
            for price in range(20)
        )
    )
    assert Counter(reply.status_code for reply in replies) == {200: 1, 412: 19}
    [winner] = [reply.json() for reply in replies if reply.status_code == 200]
    assert (await client.get(path)).json() == winner


async def test_an_sku_is_taken_once(client: httpx.AsyncClient) -> None:
    await create(client)
    reply = await client.post("/products", json=LAMP)
    assert (reply.status_code, reply.json()["errors"]) == (
        409,
        [{"field": "body.sku", "message": "is taken"}],
    )
    other = await create(client, sku="LAMP-10")
    taken = await client.put(f"/products/{other['id']}", json=LAMP, headers={"If-Match": '"1"'})
    assert taken.status_code == 409


async def test_of_twenty_creations_with_one_sku_exactly_one_wins(client: httpx.AsyncClient) -> None:
    replies = await asyncio.gather(*(client.post("/products", json=LAMP) for _ in range(20)))
    assert Counter(reply.status_code for reply in replies) == {201: 1, 409: 19}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sku": "lower"}, "body.sku"),
        ({"name": "  "}, "body.name"),
        ({"name": "n" * 121}, "body.name"),
        ({"description": "d" * 2001}, "body.description"),
        ({"category": "No"}, "body.category"),
        ({"priceCents": -1}, "body.priceCents"),
        ({"priceCents": 1.5}, "body.priceCents"),
        ({"currency": "euro"}, "body.currency"),
        ({"colour": "red"}, "body.colour"),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    reply = await client.post("/products", json=LAMP | change)
    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("cursor=x", "query.cursor"),
        ("q=" + "x" * 101, "query.q"),
    ],
)
async def test_bad_queries_name_their_field(client: httpx.AsyncClient, query: str, field: str) -> None:
    reply = await client.get(f"/products?{query}")
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, field)


async def test_an_id_that_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/products/../etc")).status_code in (404, 422)
    assert (await client.get("/products/x")).json()["errors"][0]["field"] == "path.product_id"
    assert (await client.get("/products/" + "0" * 32)).status_code == 404


async def test_the_export_has_everything(client: httpx.AsyncClient) -> None:
    for number in range(120):
        await create(client, sku=f"BULK-{number}")
    reply = await client.get("/products/export")
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert len({json.loads(line)["sku"] for line in reply.text.splitlines()}) == 132


async def test_the_description_has_examples_and_every_answer(tmp_path: Path) -> None:
    schema = create_catalog(CatalogSettings.load(data_dir=str(tmp_path))).openapi()
    put = schema["paths"]["/products/{product_id}"]["put"]
    answers = {"200", "400", "404", "409", "412", "413", "422", "428", "503", "default"}
    assert set(put["responses"]) == answers
    assert "examples" in schema["components"]["schemas"]["ProductInput"]["properties"]["sku"]
    for status in ("400", "412", "413", "422", "default"):
        assert list(put["responses"][status]["content"]) == ["application/problem+json"]
