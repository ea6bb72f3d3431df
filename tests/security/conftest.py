"""The fixtures of the tests on a real API server."""

from tests.api.conftest import every_kind, operator, shop, team

__all__ = ["every_kind", "operator", "shop", "team"]
