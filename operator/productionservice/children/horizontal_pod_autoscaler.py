"""Number of pods by CPU use."""

from __future__ import annotations

from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.effective import Effective
from productionservice.names import child_name


def build_horizontal_pod_autoscaler(
    service: ProductionService, effective: Effective, _context: BuildContext
) -> Manifest | None:
    """None when the number of pods is fixed.

    Scaling up is left to the API's defaults (at once; 4 pods or 100 % in 15 s, whichever is more).
    """
    if not effective.autoscaled:
        return None
    name = child_name(service.metadata.name)
    return {
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": effective.replicas_min,
            "maxReplicas": effective.replicas_max,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": effective.cpu_percent},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": effective.scale_down_seconds}},
        },
    }
