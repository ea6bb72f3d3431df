"""HTTP side of products."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from catalog.products.schemas import TEXT, Product, ProductInput, ProductPage
from catalog.products.service import ProductService
from prodkit import Problem, ProblemBody

ProductId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="Id of the product",
        examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(description="`ETag` of the version that the change was made on; `*` for any", examples=['"3"']),
]
_ETAG = re.compile(r'"([0-9]{1,18})"')
_REVALIDATE = {"Cache-Control": "no-cache"}


def products_router(products: ProductService) -> APIRouter:
    """Routes under `/products`."""
    router = APIRouter(prefix="/products", tags=["products"])
    _add_reads(router, products)
    _add_writes(router, products)
    return router


def _add_reads(router: APIRouter, products: ProductService) -> None:

    @router.get("", summary="List and search")
    async def list_products(
        limit: Annotated[int, Query(ge=1, le=100, description="Most items on the page")] = 20,
        cursor: Annotated[
            str, Query(pattern=r"^([0-9a-f]{32})?$", description="`nextCursor` of the page before")
        ] = "",
        q: Annotated[
            str, Query(max_length=100, pattern=TEXT, description="Text in name, description or SKU")
        ] = "",
        category: Annotated[str, Query(max_length=32, pattern=TEXT, description="Only this category")] = "",
    ) -> ProductPage:
        """Products in the order of their creation."""
        return await products.page(cursor=cursor, limit=limit, search=q, category=category)

    @router.get("/export", summary="Export everything", response_class=StreamingResponse, responses=_NDJSON)
    async def export_products() -> StreamingResponse:
        """All products as newline-delimited JSON, streamed."""
        return StreamingResponse(_lines(products), media_type="application/x-ndjson")

    @router.get("/{product_id}", summary="Read one", responses=_answers(304, 404))
    async def get_product(
        product_id: ProductId,
        response: Response,
        if_none_match: Annotated[str | None, Header(description="Answer 304 if unchanged")] = None,
    ) -> Product:
        """One product; its `ETag` is what a change has to name."""
        product = await products.get(product_id)
        if if_none_match == _etag(product):
            raise Problem(304, "", headers={"ETag": _etag(product), **_REVALIDATE})
        response.headers.update({"ETag": _etag(product), **_REVALIDATE})
        return product


def _add_writes(router: APIRouter, products: ProductService) -> None:
    @router.post("", summary="Create", status_code=201, responses=_answers(400, 409, 413))
    async def create_product(given: ProductInput, response: Response) -> Product:
        """A new product; `Location` says where it is."""
        product = await products.create(given)
        response.headers.update({"ETag": _etag(product), "Location": f"/products/{product.id}"})
        return product

    @router.put("/{product_id}", summary="Replace", responses=_answers(400, 404, 409, 412, 413, 428))
    async def replace_product(
        product_id: ProductId, given: ProductInput, response: Response, if_match: IfMatch = None
    ) -> Product:
        """Overwrite, if nobody else did meanwhile (`If-Match`)."""
        product = await products.replace(product_id, given, version=_version(if_match))
        response.headers["ETag"] = _etag(product)
        return product

    @router.delete(
        "/{product_id}",
        summary="Delete",
        status_code=204,
        response_class=Response,
        responses=_answers(404, 412, 428),
    )
    async def delete_product(product_id: ProductId, if_match: IfMatch = None) -> None:
        """Delete, if nobody changed it meanwhile (`If-Match`)."""
        await products.remove(product_id, version=_version(if_match))


_DESCRIPTIONS = {
    304: "Unchanged since the version in `If-None-Match`",
    400: "The body cannot be read: it has to be JSON in UTF-8",
    404: "There is no such product",
    409: "Another product has this SKU",
    412: "Somebody changed the product meanwhile; `ETag` has the version it is at",
    413: "The body is larger than this service takes",
    428: "`If-Match` is missing",
}
_NDJSON: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        "description": "One product a line",
    }
}


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _DESCRIPTIONS[status]} | ({} if status == 304 else {"model": ProblemBody})
        for status in statuses
    }


def _etag(product: Product) -> str:
    return f'"{product.version}"'


def _version(if_match: str | None) -> int | None:
    """The version that `If-Match` names; None for `*`."""
    if if_match is None:
        raise Problem(
            428, 'say which version you change: send the ETag of your last read as If-Match, e.g. "3"'
        )
    if if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem(412, f'If-Match: {if_match[:40]!r} is no ETag of this service: it looks like "3"')
    return int(match[1])


async def _lines(products: ProductService) -> AsyncIterator[str]:
    async for product in products.export():
        yield product.model_dump_json(by_alias=True) + "\n"
