"""HTTP side of prices."""

from __future__ import annotations

from fastapi import APIRouter

from catalog.prices.schemas import Price
from catalog.prices.service import PriceService
from catalog.products.endpoints import ProductId
from prodkit import ProblemBody


def prices_router(prices: PriceService) -> APIRouter:
    """Route `/products/{id}/price`."""
    router = APIRouter(prefix="/products", tags=["prices"])

    @router.get(
        "/{product_id}/price",
        summary="Price now",
        responses={404: {"model": ProblemBody, "description": "There is no such product"}},
    )
    async def get_price(product_id: ProductId) -> Price:
        """List price less the offer that runs; the list price while the pricing service does not answer."""
        return await prices.get(product_id)

    return router
