"""Traces by FastAPI's own telemetry, decided at the head of a request before anything is made for them.

A request is traced when its caller traces it, or, without a caller's decision, for the configured share of trace
ids. All others cost nothing: no OpenTelemetry object is made for them. The server span has the ids of our log
lines, so that a line leads to its trace and back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextvars import ContextVar

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes
from prometheus_client import CollectorRegistry, Counter

from prodkit import correlation
from prodkit.correlation import RequestContext

_EXPORT_SECONDS = (
    3.0  # for one batch, and for the last one at the end: it has to fit into the lifespan's time
)
_PATH = "/v1/traces"

_server_span: ContextVar[RequestContext | None] = ContextVar("prodkit_server_span", default=None)


class Tracing:
    """Traces of one process, sent to an OTLP/HTTP receiver at `endpoint` (`http://collector:4318`)."""

    def __init__(
        self,
        *,
        ratio: float,
        endpoint: str = "",
        resource: dict[str, str] | None = None,
        registry: CollectorRegistry | None = None,
        exporter: SpanExporter | None = None,
    ) -> None:
        """`ratio` (0 to 1) is the share of requests without a caller's decision; `exporter` replaces OTLP."""
        self.threshold = sampling_threshold(ratio)
        out = exporter or OTLPSpanExporter(endpoint.rstrip("/") + _PATH, timeout=_EXPORT_SECONDS)
        self.provider = TracerProvider(
            resource=Resource.create({**(resource or {})}),
            sampler=_FollowRequest(ratio),
            id_generator=_RequestIds(),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(BatchSpanProcessor(_CountingExporter(out, registry)))

    @property
    def fastapi(self) -> TelemetryConfig:
        """The `telemetry` argument of FastAPI: traces only, one span a request."""
        return {
            "tracer_provider": self.provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        }

    def begin(self, context: RequestContext) -> None:
        """Give the next root or server span of this task the ids of `context`."""
        _server_span.set(context)

    async def close(self) -> None:
        """Send what is left, for three seconds at most."""
        # A thread of our own: the interpreter must not wait at exit for a receiver that hangs.
        closing = threading.Thread(target=self.provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _EXPORT_SECONDS
        while closing.is_alive() and loop.time() < deadline:  # noqa: ASYNC110  threads have no awaitable end
            await asyncio.sleep(0.01)


def sampling_threshold(ratio: float) -> str:
    """What the last 16 digits of a trace id are compared with: smaller ones are traced.

    The same rule as OpenTelemetry's `TraceIdRatioBased`, so that services with one ratio agree on a trace.
    """
    if ratio >= 1:
        return "g"  # greater than any hex digit
    return f"{round(ratio * (1 << 64)):016x}"


class _RequestIds(RandomIdGenerator):
    """Ids of OpenTelemetry's spans: the server span has those of the request, all others random ones."""

    def generate_trace_id(self) -> int:
        context = correlation.current()
        return int(context.trace_id, 16) if context is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        context = _server_span.get()
        if context is None:
            return super().generate_span_id()
        _server_span.set(None)
        return int(context.span_id, 16)


class _FollowRequest(Sampler):
    """A span is kept when its request is; outside of requests the ratio decides."""

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0917  OpenTelemetry's interface
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        request = correlation.current()
        if request is not None:
            decision = Decision.RECORD_AND_SAMPLE if request.sampled else Decision.DROP
            return SamplingResult(decision, attributes if request.sampled else None, trace_state)
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            decision = Decision.RECORD_AND_SAMPLE if parent.trace_flags.sampled else Decision.DROP
            return SamplingResult(decision, attributes, parent.trace_state)
        return self._ratio.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"FollowRequest{{{self._ratio.get_description()}}}"


class _CountingExporter(SpanExporter):
    """Counts what the batch processor would lose without a word."""

    def __init__(self, inner: SpanExporter, registry: CollectorRegistry | None) -> None:
        self._inner = inner
        self._spans = Counter(
            "trace_spans", "Spans handed to the receiver of traces", ("outcome",), registry=registry
        )
        for outcome in ("exported", "failed"):
            self._spans.labels(outcome)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        outcome = "exported" if result is SpanExportResult.SUCCESS else "failed"
        self._spans.labels(outcome).inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)
