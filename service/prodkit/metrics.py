"""Prometheus metrics of one process, on a registry of its own.

Every series that an alert may ask for exists at 0 before the first request: a burn-rate rule over a series
that appears with its first error cannot see that error.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from prodkit import contract
from prodkit.histogram import DurationHistogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
# OpenTelemetry's advice for http.server.request.duration, so that dashboards fit both.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
DECLARED_ERRORS = (500, 503)
"""Server errors that exist at 0 on every route."""
REJECTIONS = (400, 408, 431)
"""Answers that the HTTP parser gives before there is a request."""


class Metrics:
    """The metrics that prodkit itself keeps; `registry` takes the application's own."""

    def __init__(
        self, *, name: str = "service", version: str = "0.0.0", environment: str = "development"
    ) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.in_flight = 0
        """Requests being handled now; a plain number because it changes twice per request."""
        self._duration = DurationHistogram(
            contract.REQUEST_DURATION_METRIC,
            "Time from the request's head to the end of its response",
            BUCKETS,
        )
        self.registry.register(self._duration)
        Gauge(
            contract.REQUESTS_IN_FLIGHT_METRIC, "Requests being handled", registry=self.registry
        ).set_function(lambda: self.in_flight)
        self._rejected = Counter(
            "http_server_rejected_requests", "Refused by the HTTP parser", ("status",), registry=self.registry
        )
        for status in REJECTIONS:
            self._rejected.labels(str(status))
        Gauge(
            "service_info", "What runs; always 1", ("name", "version", "environment"), registry=self.registry
        ).labels(name, version, environment).set(1)

    def declare(self, routes: Iterable[tuple[str, str, int]]) -> None:
        """Make the series of `(method, route, success status)` exist at 0, with their server errors."""
        for method, route, status in routes:
            for declared in (status, *DECLARED_ERRORS):
                self._duration.declare(method, route, declared)
        self._duration.declare("GET", contract.UNMATCHED_ROUTE, 404)

    def declare_series(self, method: str, route: str, status: int) -> None:
        """Make one series exist at 0."""
        self._duration.declare(method, route, status)

    def observe(self, method: str, route: str, status: int, seconds: float, trace_id: str = "") -> None:
        """Record one finished request. `route` is the template, never the path; `trace_id` if it is traced."""
        known = method if method in METHODS else contract.OTHER_METHOD
        self._duration.observe(known, route, status, seconds, trace_id)

    def count_rejected(self, status: int) -> None:
        """Record a request that never became one."""
        self._rejected.labels(str(status)).inc()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the scraper asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
