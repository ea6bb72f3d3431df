"""Prices: list price of the product, offer of the pricing service."""
