"""metrics-server on the cluster: an autoscaler sees real CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e import images
from e2e.caller import RESTRICTED
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import SERVICE_IMAGE, TAG

pytestmark = pytest.mark.node

_REQUEST, _LIMIT = 20, 40  # thousandths of a core


def _busy_deployment() -> dict[str, Any]:
    """One pod that uses all that its limit lets it have: twice its request."""
    labels = {"app": "busy"}
    container = {
        "name": "busy",
        "image": f"{SERVICE_IMAGE}:{TAG}",
        "command": ["python3", "-c", "while True: pass"],
        "resources": {
            "requests": {"cpu": f"{_REQUEST}m", "memory": "32Mi"},
            "limits": {"cpu": f"{_LIMIT}m", "memory": "64Mi"},
        },
        "securityContext": RESTRICTED,
    }
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "busy"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


_AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "busy"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    },
}


def test_an_autoscaler_sees_real_cpu_and_scales_out(
    addons: Callable[..., Cluster], node_cluster: Cluster, namespace: str
) -> None:
    addons("metrics-server")
    node_cluster.load_docker_image(str(images.build_image("service", TAG)))
    for manifest in (_busy_deployment(), _AUTOSCALER):
        node_cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(manifest))

    def scaled_on_a_real_figure() -> None:
        status = json.loads(node_cluster.kubectl("-n", namespace, "get", "hpa", "busy", "-o", "json"))[
            "status"
        ]
        assert status["currentMetrics"], status  # null until the first figure
        used = status["currentMetrics"][0]["resource"]["current"]["averageUtilization"]
        # All of the limit is 200 % of the request; more than one target means that it was measured, not guessed.
        assert 50 < used <= 100 * _LIMIT / _REQUEST * 1.2, status
        assert status["desiredReplicas"] == 2, status

    # A pod's figure takes two scrapes of 10 s, the autoscaler looks every 15 s.
    eventually(scaled_on_a_real_figure, timeout=90)
