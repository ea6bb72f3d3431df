"""What node drains may take away at once."""

from __future__ import annotations

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.effective import Effective
from productionservice.names import child_name


def build_pod_disruption_budget(
    service: ProductionService, effective: Effective, _context: BuildContext
) -> Manifest:
    """Always at least 1, so that no drain hangs; unhealthy pods serve nobody and may always be evicted."""
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "maxUnavailable": effective.max_unavailable,
            "selector": {"matchLabels": labels.selector_labels(service.metadata.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
