"""What the operator promises to a service that it runs. The service has its copy; a test compares the two."""

from __future__ import annotations

import json
from typing import Final

from productionservice.api import API_VERSION
from productionservice.api.v1alpha1 import ProductionService

CONFIG_ENV: Final = "PRODUCTIONSERVICE_CONFIG"
"""Environment variable that names the document."""
CONFIG_FOLDER: Final = "/etc/productionservice"
"""Folder that the document is mounted in; users cannot mount over it."""
CONFIG_FILE: Final = "config.json"
CONFIG_PATH: Final = f"{CONFIG_FOLDER}/{CONFIG_FILE}"
SERVICE_PORT: Final = 80
"""Port of the Service: what callers use, whatever the container listens on."""
RESERVE_SECONDS: Final = 10
"""Grace period beyond propagation and drain: 5 s to close pools and flush, 5 s for the kubelet."""


def service_url(service: ProductionService) -> str:
    """Where callers inside the cluster reach the service. The cluster's domain is left to the resolver."""
    return f"http://{service.metadata.name}.{service.metadata.namespace}.svc"


def config_document(
    service: ProductionService,
    *,
    version: str,
    pre_stop_seconds: int,
    propagation_seconds: int,
    drain_seconds: int,
) -> str:
    """The document handed to each pod: one line of JSON with sorted keys; equal content is equal text."""
    document = {
        "apiVersion": API_VERSION,
        "name": service.metadata.name,
        "namespace": service.metadata.namespace,
        "version": version,
        "environment": service.spec.environment.value,
        "port": service.spec.port,
        "adminPort": service.spec.admin_port,
        "shutdown": {
            "preStopSeconds": pre_stop_seconds,
            "propagationSeconds": propagation_seconds,
            "drainSeconds": drain_seconds,
        },
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
