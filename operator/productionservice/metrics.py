"""Metrics under the names that controller-runtime and client-go use, so that stock dashboards work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from productionservice import __version__

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
TERMINAL_ERRORS = Counter(
    "controller_runtime_terminal_reconcile_errors",
    "Passes that cannot succeed until an object is edited",
    ["controller"],
)
RECONCILE_PANICS = Counter(
    "controller_runtime_reconcile_panics", "Passes that ended in an error that nobody foresaw", ["controller"]
)
RECONCILE_TIME = Histogram(
    "controller_runtime_reconcile_time_seconds", "Length of a pass", ["controller"], buckets=_TIMES
)
WORKERS_MAX = Gauge("controller_runtime_max_concurrent_reconciles", "Workers", ["controller"])
WORKERS_ACTIVE = Gauge("controller_runtime_active_workers", "Workers in a pass", ["controller"])

_QUEUE = ["name", "controller"]
QUEUE_DEPTH = Gauge("workqueue_depth", "Keys that are due", _QUEUE).labels(CONTROLLER, CONTROLLER)
QUEUE_ADDS = Counter("workqueue_adds", "Keys that were added", _QUEUE).labels(CONTROLLER, CONTROLLER)
QUEUE_RETRIES = Counter("workqueue_retries", "Keys that were added again after a failure", _QUEUE).labels(
    CONTROLLER, CONTROLLER
)
QUEUE_WAIT = Histogram(
    "workqueue_queue_duration_seconds", "Wait of a due key", _QUEUE, buckets=_TIMES
).labels(CONTROLLER, CONTROLLER)
QUEUE_WORK = Histogram(
    "workqueue_work_duration_seconds", "Time that a key is worked on", _QUEUE, buckets=_TIMES
).labels(CONTROLLER, CONTROLLER)
QUEUE_UNFINISHED = Gauge(
    "workqueue_unfinished_work_seconds", "Time so far of all passes that run, in sum", _QUEUE
).labels(CONTROLLER, CONTROLLER)
QUEUE_LONGEST = Gauge(
    "workqueue_longest_running_processor_seconds", "Time so far of the pass that runs the longest", _QUEUE
).labels(CONTROLLER, CONTROLLER)

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

BUILD_INFO = Gauge("productionservice_build_info", "1; the label says which version runs", ["version"])
BUILD_INFO.labels(__version__).set(1)
READY = Gauge("productionservice_ready", "1 while /readyz answers 200, on the leader and on a standby")
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

WEBHOOK_CERTIFICATE_ENDS = Gauge(
    "productionservice_webhook_certificate_not_after_timestamp_seconds",
    "When the serving certificate ends, in seconds since 1970; 0 once it has ended, +Inf without a webhook",
)
WEBHOOK_CERTIFICATE_ENDS.set(float("inf"))

INFORMER_OBJECTS = Gauge("productionservice_informer_objects", "Objects in memory", ["resource"])
INFORMER_RELISTS = Counter("productionservice_informer_lists", "Complete lists", ["resource"])
INFORMER_AGE = Gauge(
    "productionservice_informer_last_event_age_seconds", "Silence of the watch", ["resource"]
)
INFORMER_FORBIDDEN = Gauge(
    "productionservice_informer_forbidden", "1 for a kind that the operator may not list", ["resource"]
)
CHANGES = Counter("productionservice_changes", "Changes made to children", ["action", "kind"])
DRIFT = Counter(
    "productionservice_drift_corrections",
    "Children that somebody had changed and that were put right",
    ["kind"],
)
CONDITIONS = Gauge(
    "productionservice_conditions",
    "Services by what their conditions say; no label names one",
    ["type", "status"],
)
STREAM_MISSED = Counter(
    "productionservice_stream_missed",
    "Changes of services that their stream did not deliver, found by a list",
)
MEMORY_LIMIT = Gauge("productionservice_memory_limit_bytes", "Memory limit of the container; 0 without one")
LOOP_LAG = Histogram(
    "productionservice_loop_lag_seconds", "How late the event loop runs what is due", buckets=_TIMES
)
EVENTS_DROPPED = Counter("productionservice_events_dropped", "Events that were not posted")

for _result in ("success", "error", "requeue_after"):
    RECONCILES.labels(CONTROLLER, _result)  # series exist at 0 from the first scrape
for _counter in (RECONCILE_ERRORS, RECONCILE_PANICS, TERMINAL_ERRORS):
    _counter.labels(CONTROLLER)
