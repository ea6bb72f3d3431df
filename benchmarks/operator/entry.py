"""The operator with more children: plain ConfigMaps, so that a service has as many as a full one will have.

Run as `python -m benchmarks.operator.entry` by the benchmark; the same bodies go to what it is compared with.
"""

from __future__ import annotations

import sys
from typing import Any

from productionservice import children
from productionservice.api import ProductionService
from productionservice.children import BuildContext, Kind, Manifest
from productionservice.effective import Effective

EXTRA = 9
"""With the six kinds of a service without an autoscaler (ServiceMonitor included): 15 children."""


def _config_map(index: int) -> children.Builder:
    def build(service: ProductionService, _effective: Effective, _context: BuildContext) -> Manifest:
        lines: dict[str, Any] = {
            f"key-{line}": f"{service.metadata.name} {line} " + "x" * 60 for line in range(12)
        }
        return {"metadata": {"name": f"{service.metadata.name}-extra-{index}"}, "data": lines}

    return build


def widen() -> None:
    """Add the ConfigMaps to the operator's children, once. To be called before its other modules are imported."""
    if any(made.kind == "ConfigMap" for made, _ in children.CHILDREN):
        return
    kind = Kind("v1", "ConfigMap", "configmaps")
    children.CHILDREN = (*children.CHILDREN, *((kind, _config_map(index)) for index in range(EXTRA)))
    children.APPLY_ORDER = {made.kind: index for index, (made, _) in enumerate(children.CHILDREN)}


NOT_IN_THE_IMAGE = ("kubernetes", "kubernetes_asyncio", "pykube")
"""Clients that kopf imports where they are installed, as in a development environment (+19 to +51 MB: ADR 0001)."""


if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(NOT_IN_THE_IMAGE))  # type: ignore[arg-type]  # None: as if it were not there
    widen()
    from productionservice.main import main  # after widen: others copy the list when they are imported

    sys.exit(main([]))
