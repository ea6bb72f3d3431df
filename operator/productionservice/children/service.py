"""The stable address of the pods."""

from __future__ import annotations

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.pod import TRAFFIC_PORT
from productionservice.contract import SERVICE_PORT
from productionservice.effective import Effective
from productionservice.names import child_name


def build_service(service: ProductionService, _effective: Effective, _context: BuildContext) -> Manifest:
    """Traffic only: the admin port is for the kubelet and monitoring, which reach pods directly.

    Type and affinity are written although they are the defaults: a Service opened to the outside by hand, or one
    that pins callers to a leaving pod, is drift.
    """
    return {
        "metadata": {"name": child_name(service.metadata.name)},
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "selector": labels.selector_labels(service.metadata.name),
            "ports": [
                {
                    "name": TRAFFIC_PORT,
                    "port": SERVICE_PORT,
                    "protocol": "TCP",
                    "targetPort": TRAFFIC_PORT,
                    "appProtocol": "http",
                }
            ],
        },
    }
