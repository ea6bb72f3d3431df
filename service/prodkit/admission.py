"""Refuses requests at the door when more come than can be served: before body, authentication and tracing.

The limiter decides (`prodkit.limiter`); here are its clock, its answer and its metrics. It works with
`prodkit.protocol` only: behind any other server a request has already cost most of what a refusal would save.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from prodkit import correlation
from prodkit.access import AccessLog
from prodkit.limiter import SAMPLE_SECONDS, Limiter, Priority
from prodkit.metrics import Metrics
from prodkit.problems import MEDIA_TYPE, problem_body
from prodkit.run_delay import RunDelay
from prodkit.telemetry import OWN_BLOCK

SHED_ROUTE = "shed"
"""Label `route` of a request that was refused before any route was looked for."""
STATUS = 503
_MEDIA_TYPE = MEDIA_TYPE.encode()
_BODY = problem_body(STATUS, "too many requests at once: try again", request_id="ID").split(b"ID")
"""What stands before and after the request id."""
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_RETRY_SECONDS = (1, 2, 3)  # in turn, so that those refused together do not come back together
_PATH_CHARS = 1024
_STALL_SECONDS = 0.1  # whoever made it, callers have waited so long without a sign of life
_AFTER_STALL_SECONDS = 1.0  # until what piled up meanwhile has had its turn


class Admission:
    """One process's door."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        access_log: AccessLog | None = None,
        priorities: Mapping[str, Priority] | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        """`priorities`: prefix of the path → class; the longest prefix wins, all else is normal."""
        self.limiter = limiter or Limiter()
        self._metrics = metrics
        self._access_log = access_log
        self._priorities = sorted((priorities or {}).items(), key=lambda item: -len(item[0]))
        self.behind = False
        """Callers may have left before their turn comes: worth asking, which costs a system call a request."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._behind_until = 0.0
        self._used = 0.0
        self._starved = 0.0
        self._worked = 0.0
        self._retry_seconds = itertools.cycle(_RETRY_SECONDS)
        self._run_delay = RunDelay()
        self._register(metrics)

    def start(self) -> None:
        """Begin to watch the event loop that runs now."""
        self._run_delay.open()
        self._processor_time()
        self._due = asyncio.get_running_loop().time() + SAMPLE_SECONDS
        self._timer = asyncio.get_running_loop().call_at(self._due, self._sample)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._run_delay.close()

    def admits(self, path: str) -> bool:
        """True: serve the request, and call `limiter.release` at its end."""
        return self.limiter.admit(self._priority(path))

    def refuses(self, path: str) -> bool:
        """True when `admits` would say no now."""
        return self.limiter.refuses(self._priority(path))

    def count_abandoned(self) -> None:
        """A request was dropped unserved: its caller had left before its first turn."""
        self._abandoned.inc()

    def refusal(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], client: tuple[str, int] | None
    ) -> bytes:
        """Header lines after the status line, and the body, of the answer to a refused request; counts it.

        A line `connection: close` may be put in front of it.
        """
        request_id = traceparent = None
        for name, value in headers:
            if name == b"x-request-id":
                request_id = value if request_id is None else b""
            elif name == b"traceparent":
                traceparent = value if traceparent is None else b""
        context = correlation.make_context(request_id, traceparent)
        self._record(method, path, client, context)
        identity = context.request_id.encode()
        before, after = _BODY
        return b"content-type: %b\r\ncontent-length: %d\r\nretry-after: %d\r\n%b%b\r\n\r\n%b%b%b" % (
            _MEDIA_TYPE,
            len(before) + len(identity) + len(after),
            next(self._retry_seconds),
            OWN_BLOCK,
            identity,
            before,
            identity,  # nothing in it has to be escaped: `contract.REQUEST_ID_PATTERN`
            after,
        )

    def _priority(self, path: str) -> Priority:
        for prefix, priority in self._priorities:
            if path.startswith(prefix):
                return priority
        return Priority.NORMAL

    def _record(
        self, method: str, path: str, client: tuple[str, int] | None, context: correlation.RequestContext
    ) -> None:
        self._metrics.observe(method, SHED_ROUTE, STATUS, 0.0)
        priority = self._priority(path)
        self._shed[priority].inc()
        if self._access_log is None:
            return
        self._access_log.write(
            STATUS,
            {
                "request_id": context.request_id,
                "trace_id": context.trace_id,
                "span_id": context.span_id,
                "method": method,
                "route": SHED_ROUTE,
                "path": path[:_PATH_CHARS],
                "status": STATUS,
                "priority": priority,
                "client": client[0] if client else "",
            },
        )

    def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        lag = now - self._due
        self._lag.observe(lag)
        if self.limiter.sample_lag(lag, **self._processor_time()):
            self.limiter.end_window()
        if lag > _STALL_SECONDS:
            self._behind_until = now + _AFTER_STALL_SECONDS
        self.behind = self.limiter.late or now < self._behind_until
        self._due = now + SAMPLE_SECONDS
        self._timer = loop.call_at(self._due, self._sample)

    def _processor_time(self) -> dict[str, float]:
        """What has gone by since the last time, as `Limiter.sample_lag` wants it."""
        used, self._used = self._used, time.process_time()
        worked, self._worked = self._worked, time.thread_time()
        starved, self._starved = self._starved, self._run_delay.seconds()
        return {
            "used": self._used - used,
            "worked": self._worked - worked,
            "starved": max(0.0, self._starved - starved),
        }

    def _register(self, metrics: Metrics) -> None:
        registry, limiter = metrics.registry, self.limiter
        metrics.declare_series("GET", SHED_ROUTE, STATUS)
        limit = Gauge("concurrency_limit", "Requests allowed in flight", ("controller",), registry=registry)
        limit.labels("lag").set_function(lambda: limiter.lag.limit)
        limit.labels("gradient").set_function(lambda: limiter.gradient.limit)
        for name, text, value in (
            ("concurrency_inflight", "Requests admitted and not ended", lambda: limiter.in_flight),
            (
                "saturation_ratio",
                "Requests in flight by the limit",
                lambda: limiter.in_flight / limiter.limit,
            ),
            (
                "concurrency_waiting",
                "Requests without a place: they wait for what another one does",
                lambda: limiter.waiting,
            ),
            ("limiter_gradient", "1: as fast as ever, 0.5: much slower", lambda: limiter.gradient.gradient),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        shed = Counter("requests_shed", "Refused because of overload", ("class",), registry=registry)
        self._shed = {priority: shed.labels(priority.value) for priority in Priority}
        self._abandoned = Counter(
            "requests_abandoned", "Dropped: the caller had left before the first turn", registry=registry
        )
        self._lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop calls",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
