"""The fixtures of the tests on a real API server."""

from tests.api.conftest import every_kind, operator, shop, team
from tests.security.tenant import editor, roles, theirs, viewer

__all__ = ["editor", "every_kind", "operator", "roles", "shop", "team", "theirs", "viewer"]
