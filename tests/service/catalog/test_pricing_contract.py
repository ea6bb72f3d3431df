"""What the catalogue expects of pricing, and that pricing keeps to it: both against the same examples."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.prices.service import ask_for_offer, make_price
from catalog.pricing.app import offer_for
from catalog.pricing.schemas import Offer, Offers
from catalog.seed import sample_products
from prodkit.upstream import Upstream, UpstreamError
from tests.service.catalog.applications import catalog, client_of, pricing
from tests.service.processes import run_service

# The consumer's side of the contract: what it asks, and what it understands.
EXAMPLES: list[tuple[str, int | None]] = [
    (sample.sku, offer.percent_off if (offer := offer_for(sample.sku)) else None)
    for sample in sample_products()
]
ENV = {
    "PRICING_PORT": "0",
    "PRICING_ADMIN_PORT": "0",
    "PRICING_HOST": "127.0.0.1",
    "PRICING_PROPAGATION_SECONDS": "0",
}


async def test_the_examples_have_products_with_and_without_offer() -> None:
    assert {percent is None for _, percent in EXAMPLES} == {True, False}


@pytest.mark.parametrize(("sku", "percent"), EXAMPLES)
async def test_pricing_answers_as_the_catalogue_expects(sku: str, percent: int | None) -> None:
    async with client_of(pricing()) as client:
        reply = await client.get("/offers", params={"sku": sku})
        assert reply.status_code == 200
        offers = Offers.model_validate(reply.json()).offers
        assert [(offer.sku, offer.percent_off) for offer in offers] == ([(sku, percent)] if percent else [])


async def test_several_products_at_once_and_bad_ones_named() -> None:
    async with client_of(pricing()) as client:
        reply = await client.get("/offers", params=[("sku", sku) for sku, _ in EXAMPLES])
        assert len(reply.json()["offers"]) == sum(percent is not None for _, percent in EXAMPLES)
        assert (await client.get("/offers")).json()["errors"][0]["field"] == "query.sku"
        assert (await client.get("/offers?sku=bad+one")).json()["errors"][0]["field"] == "query.sku.0"


async def test_the_catalogue_shows_the_price_of_the_real_service(tmp_path: Path) -> None:
    async with run_service("-m", "catalog.pricing", log=tmp_path / "log", env=ENV) as service:
        url = f"http://127.0.0.1:{service.port}"
        async with client_of(catalog(pricing_url=url)) as client:
            for product in (await client.get("/products")).json()["items"]:
                price = (await client.get(f"/products/{product['id']}/price")).json()
                percent = dict(EXAMPLES)[product["sku"]] or 0
                assert price["source"] == "pricing"
                assert (price["offer"] is None) == (percent == 0)
                assert price["listCents"] - price["priceCents"] == -(-product["priceCents"] * percent // 100)


@asynccontextmanager
async def answering(body: bytes, status: int = 200) -> AsyncIterator[str]:
    """A pricing service that keeps to nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"nonsense", 200),
        (b'{"offers": [{"sku": "LAMP-001", "percentOff": 0, "label": "x"}]}', 200),
        (b'{"offers": [{"sku": "LAMP-001"}]}', 200),
        (b"{}", 404),
        (b"", 500),
    ],
)
async def test_an_answer_that_is_not_as_agreed_gives_the_list_price(body: bytes, status: int) -> None:
    async with answering(body, status) as url:
        async with Upstream("pricing", url) as upstream:
            with pytest.raises(UpstreamError):
                await ask_for_offer(upstream, "LAMP-001")
        async with client_of(catalog(pricing_url=url)) as client:
            product = (await client.get("/products", params={"limit": 1})).json()["items"][0]
            price = (await client.get(f"/products/{product['id']}/price")).json()
    assert (price["source"], price["priceCents"], price["offer"]) == ("list", product["priceCents"], None)


async def test_more_fields_than_known_are_no_reason_to_fail() -> None:
    newer: dict[str, Any] = {"offers": [{"sku": "A", "percentOff": 10, "label": "x", "new": 1}], "next": None}
    async with answering(json.dumps(newer).encode()) as url, Upstream("pricing", url) as upstream:
        offer = await ask_for_offer(upstream, "A")
    assert offer == Offer(sku="A", percent_off=10, label="x")


async def test_without_a_pricing_service_the_list_price_is_right() -> None:
    async with client_of(catalog()) as client:
        product = (await client.get("/products", params={"limit": 1})).json()["items"][0]
        price = (await client.get(f"/products/{product['id']}/price")).json()
        assert (price["source"], price["priceCents"]) == ("pricing", product["priceCents"])
        assert (await client.get(f"/products/{'0' * 32}/price")).status_code == 404


@given(cents=st.integers(0, 1_000_000_000), percent=st.integers(1, 90))
def test_a_price_is_never_above_the_list_nor_below_nothing(cents: int, percent: int) -> None:
    sample = sample_products()[0].model_dump() | {"price_cents": cents}
    product = _product(sample)
    price = make_price(product, Offer(sku=product.sku, percent_off=percent, label="x"))
    assert 0 <= price.price_cents <= cents
    assert cents * (100 - percent) - 100 < price.price_cents * 100 <= cents * (100 - percent)


def _product(values: dict[str, Any]) -> Any:
    from catalog.products.schemas import Product  # noqa: PLC0415  only this test makes one by hand

    moment = "2026-01-01T00:00:00Z"
    return Product.model_validate(
        {"id": "0" * 32, "version": 1, "created_at": moment, "updated_at": moment, **values}
    )
