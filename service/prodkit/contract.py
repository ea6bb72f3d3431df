"""What a service promises to the operator that runs it. The operator has a copy; a test compares the two.

Nothing here may depend on anything else: these are the words and numbers that both sides have to agree on.
"""

from __future__ import annotations

from typing import Final

CONFIG_ENV: Final = "PRODUCTIONSERVICE_CONFIG"
"""Environment variable that names the operator's JSON document."""
API_VERSION: Final = "productionservice.io/v1alpha1"
"""The only document version that this code reads."""
DOCUMENT_KEYS: Final = (
    "apiVersion",
    "name",
    "namespace",
    "version",
    "environment",
    "port",
    "adminPort",
    "shutdown",
)
"""Keys of the document that are read; any other key is ignored."""
SHUTDOWN_KEYS: Final = ("preStopSeconds", "propagationSeconds", "drainSeconds")
"""Keys of the document's `shutdown` object."""
ENVIRONMENTS: Final = ("development", "staging", "production")

PORT: Final = 8000
"""Traffic."""
ADMIN_PORT: Final = 9000
"""Probes, metrics, version, API description."""
LIVE_PATH: Final = "/livez"
STARTUP_PATH: Final = "/startupz"
READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"
VERSION_PATH: Final = "/version"

PROPAGATION_SECONDS: Final = 5
"""How long a leaving pod goes on serving while the cluster learns that it leaves (preStop sleep included)."""
DRAIN_SECONDS: Final = 20
"""Longest time for requests in flight to finish after that."""
RESERVE_SECONDS: Final = 10
"""What the grace period holds beyond propagation and drain; everything after the drain fits into it."""

REQUEST_ID_HEADER: Final = "X-Request-ID"
REQUEST_ID_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
"""An incoming id of any other shape is replaced."""
TRACE_HEADER: Final = "traceparent"

REQUEST_DURATION_METRIC: Final = "http_server_request_duration_seconds"
"""Histogram with the labels `method`, `route` and `status`."""
REQUESTS_IN_FLIGHT_METRIC: Final = "http_server_active_requests"
"""Gauge without labels."""
UNMATCHED_ROUTE: Final = "unmatched"
"""Label `route` of a request that no route takes."""
OTHER_METHOD: Final = "_OTHER"
"""Label `method` of a method that HTTP does not define."""
