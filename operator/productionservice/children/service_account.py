"""The identity of the pods. It can do nothing: no token is mounted and no role is bound."""

from __future__ import annotations

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.effective import Effective
from productionservice.names import child_name


def build_service_account(
    service: ProductionService, _effective: Effective, _context: BuildContext
) -> Manifest:
    """An own account for each service, so that rights given to one are not rights of all in the namespace."""
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "automountServiceAccountToken": False,
    }
