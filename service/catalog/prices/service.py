"""What a product costs: offers come from the pricing service, and without it there is still the list price."""

from __future__ import annotations

from pydantic import ValidationError

from catalog.prices.schemas import Price
from catalog.pricing.schemas import Offer, Offers
from catalog.products.schemas import Product
from catalog.products.service import ProductService
from prodkit.cache import Cache
from prodkit.upstream import Upstream, UpstreamError


class PriceService:
    """Prices of products. `pricing` None means that there is no pricing service: list prices are right."""

    def __init__(
        self, products: ProductService, pricing: Upstream | None, cache: Cache[Offer | None]
    ) -> None:
        self._products = products
        self._pricing = pricing
        self._cache = cache

    async def get(self, product_id: str) -> Price:
        """The price of a product; 404 when there is none."""
        product = await self._products.get(product_id)
        pricing = self._pricing
        if pricing is None:
            return make_price(product, None)
        try:
            offer = await self._cache.get(product.sku, lambda: ask_for_offer(pricing, product.sku))
        except UpstreamError:
            return make_price(product, None, complete=False)
        return make_price(product, offer)


async def ask_for_offer(pricing: Upstream, sku: str) -> Offer | None:
    """The offer of one product. UpstreamError also for an answer that is not as agreed."""
    reply = await pricing.get("/offers", params={"sku": sku})
    try:
        offers = Offers.model_validate_json(reply.content).offers
    except ValidationError:
        raise UpstreamError(f"{pricing.name} answered {reply.status_code} with something else") from None
    return next((offer for offer in offers if offer.sku == sku), None)


def make_price(product: Product, offer: Offer | None, *, complete: bool = True) -> Price:
    """List price less the offer, rounded to the customer's favour."""
    off = product.price_cents * offer.percent_off if offer is not None else 0
    return Price(
        product_id=product.id,
        price_cents=product.price_cents - -(-off // 100),
        list_cents=product.price_cents,
        currency=product.currency,
        offer=offer.label if offer is not None else None,
        source="pricing" if complete else "list",
    )
