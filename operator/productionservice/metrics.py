"""Metrics under the names that controller-runtime and client-go use, so that stock dashboards work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONTROLLER = "productionservice"
"""Value of the labels `controller` and `name`: there is one controller and one queue."""

_TIMES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds. A no-change pass takes under a millisecond, one with writes tens, a slow API server seconds."""

RECONCILES = Counter(
    "controller_runtime_reconcile",
    "Passes by result: success, error, requeue_after",
    ["controller", "result"],
)
RECONCILE_ERRORS = Counter("controller_runtime_reconcile_errors", "Passes that failed", ["controller"])
RECONCILE_PANICS = Counter(
    "controller_runtime_reconcile_panics", "Passes that ended in an error that nobody foresaw", ["controller"]
)
RECONCILE_TIME = Histogram(
    "controller_runtime_reconcile_time_seconds", "Length of a pass", ["controller"], buckets=_TIMES
)
WORKERS_MAX = Gauge("controller_runtime_max_concurrent_reconciles", "Workers", ["controller"])
WORKERS_ACTIVE = Gauge("controller_runtime_active_workers", "Workers in a pass", ["controller"])

QUEUE_DEPTH = Gauge("workqueue_depth", "Keys that are due", ["name"])
QUEUE_ADDS = Counter("workqueue_adds", "Keys that were added", ["name"])
QUEUE_RETRIES = Counter("workqueue_retries", "Keys that were added again after a failure", ["name"])
QUEUE_WAIT = Histogram("workqueue_queue_duration_seconds", "Wait of a due key", ["name"], buckets=_TIMES)

REQUESTS = Counter(
    "rest_client_requests", "Requests by answer; code `<error>` is none", ["code", "method", "host"]
)
REQUEST_TIME = Histogram(
    "rest_client_request_duration_seconds", "Length of a request", ["verb"], buckets=_TIMES
)

WRITE_WAIT = Counter(
    "productionservice_write_limiter_wait_seconds",
    "Time that writes have waited since the API server is busy",
)
WRITE_RATE = Gauge("productionservice_write_limiter_rate", "Writes a second that the limiter allows")

LEADER = Gauge("leader_election_master_status", "1 while this replica leads", ["name"])

WEBHOOK_LATENCY = Histogram(
    "controller_runtime_webhook_latency_seconds", "Time to answer a review", ["webhook"], buckets=_TIMES
)
WEBHOOK_REQUESTS = Counter(
    "controller_runtime_webhook_requests", "Reviews by HTTP status", ["webhook", "code"]
)
WEBHOOK_IN_FLIGHT = Gauge(
    "controller_runtime_webhook_requests_in_flight", "Reviews being answered", ["webhook"]
)

INFORMER_OBJECTS = Gauge("productionservice_informer_objects", "Objects in memory", ["resource"])
INFORMER_RELISTS = Counter("productionservice_informer_lists", "Complete lists", ["resource"])
INFORMER_AGE = Gauge(
    "productionservice_informer_last_event_age_seconds", "Silence of the watch", ["resource"]
)
CHANGES = Counter("productionservice_changes", "Changes made to children", ["action", "kind"])
EVENTS_DROPPED = Counter("productionservice_events_dropped", "Events that were not posted")

for _result in ("success", "error", "requeue_after"):
    RECONCILES.labels(CONTROLLER, _result)  # series exist at 0 from the first scrape
for _counter in (RECONCILE_ERRORS, RECONCILE_PANICS, QUEUE_ADDS, QUEUE_RETRIES):
    _counter.labels(CONTROLLER)
