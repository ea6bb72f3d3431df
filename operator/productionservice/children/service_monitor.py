"""What Prometheus scrapes. Consumed by the Prometheus operator."""

from __future__ import annotations

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.api.v1alpha1 import Monitor
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.pod import metrics_port_name
from productionservice.effective import Effective
from productionservice.names import child_name


def build_service_monitor(
    service: ProductionService, _effective: Effective, context: BuildContext
) -> Manifest | None:
    """None when monitoring is off.

    The pods behind the Service are scraped at a port that the Service itself does not have: nobody else gets at it.
    Files (tokens, certificates) are never named: a ServiceMonitor that may would read Prometheus' own.
    """
    metrics = service.spec.observability.metrics
    if metrics.monitor is Monitor.OFF:
        return None
    name = service.metadata.name
    return {
        "metadata": {"name": child_name(name), "labels": dict(context.monitor_labels)},
        "spec": {
            "selector": {"matchLabels": {labels.SERVICE: name}},
            "endpoints": [
                {
                    "targetPort": metrics_port_name(service.spec),
                    "path": metrics.path,
                    "interval": f"{metrics.interval_seconds}s",
                }
            ],
            "podTargetLabels": ["app.kubernetes.io/version"],
        },
    }
