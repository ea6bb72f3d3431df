"""Metrics of all caches of a process; every series exists at 0."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

RESULTS = ("hit", "shared", "stale", "miss")
"""Where a value came from: this process, the shared store, one of them though no longer fresh, the origin."""
OUTCOMES = ("done", "failed", "elsewhere")
"""Of a refresh; `elsewhere` means that another process was at it."""
OPERATIONS = ("generation", "read", "lease", "write", "hold", "release", "forget", "flush")


class CacheMetrics:
    """One object for all caches on a registry.

    Label `cache` is the cache's namespace: Prometheus renames a label that is called like one of the target's.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._requests = Counter(
            "cache_requests", "Look-ups in a cache", ("cache", "result"), registry=registry
        )
        self._refreshes = Counter(
            "cache_refreshes", "Loads that nobody waited for", ("cache", "outcome"), registry=registry
        )
        self._loads = Histogram(
            "cache_load_seconds",
            "Time that the origin took",
            ("cache",),
            buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=registry,
        )
        self._faults = Counter(
            "cache_store_faults",
            "Operations that the shared store did not do in time",
            ("operation",),
            registry=registry,
        )
        for operation in OPERATIONS:
            self._faults.labels(operation)

    def of(self, namespace: str) -> NamespaceMetrics:
        """The metrics of one cache."""
        return NamespaceMetrics(self._requests, self._refreshes, self._loads, namespace)

    def count_fault(self, operation: str) -> None:
        """The shared store did not do an operation."""
        self._faults.labels(operation).inc()


class NamespaceMetrics:
    """Children bound once: a look-up counts on every request."""

    def __init__(self, requests: Counter, refreshes: Counter, loads: Histogram, namespace: str) -> None:
        self.requests = {result: requests.labels(namespace, result) for result in RESULTS}
        self.refreshes = {outcome: refreshes.labels(namespace, outcome) for outcome in OUTCOMES}
        self.loads = loads.labels(namespace)
