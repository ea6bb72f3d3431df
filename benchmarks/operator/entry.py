"""The operator with more children: plain PodTemplates, so that a service has as many as a full one will have.

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


def _pod_template(index: int) -> children.Builder:
    def build(service: ProductionService, _effective: Effective, _context: BuildContext) -> Manifest:
        lines: dict[str, Any] = {
            f"example/key-{line}": f"{service.metadata.name} {line} " + "x" * 60 for line in range(12)
        }
        container = {"name": "service", "image": "registry.example/shop/catalog:v1.4.2"}
        template = {"metadata": {"annotations": lines}, "spec": {"containers": [container]}}
        return {"metadata": {"name": f"{service.metadata.name}-extra-{index}"}, "template": template}

    return build


def widen() -> None:
    """Add the PodTemplates to the operator's children, once. To be called before its other modules are imported.

    A kind that nobody acts on, of a pod's size and defaults, and that the operator watches for nothing else.
    """
    if any(made.kind == "PodTemplate" for made, _ in children.CHILDREN):
        return
    kind = Kind("v1", "PodTemplate", "podtemplates")
    children.CHILDREN = (*children.CHILDREN, *((kind, _pod_template(index)) for index in range(EXTRA)))
    children.APPLY_ORDER = {made.kind: index for index, (made, _) in enumerate(children.CHILDREN)}


NOT_IN_THE_IMAGE = ("kubernetes", "kubernetes_asyncio", "pykube")
"""Clients that kopf imports where they are installed, as in a development environment (+19 to +51 MB: ADR 0001)."""


if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(NOT_IN_THE_IMAGE))  # type: ignore[arg-type]  # None: as if it were not there
    widen()
    from productionservice.main import main  # after widen: others copy the list when they are imported

    sys.exit(main([]))
