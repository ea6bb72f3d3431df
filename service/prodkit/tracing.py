"""Traces by OpenTelemetry's SDK, decided at the head of a request before anything is made for them.

A request is traced when its caller traces it, or, without a caller's decision, for the configured share of trace
ids. All others cost nothing: no OpenTelemetry object is made for them. The server span has the ids of our log
lines, so that a line leads to its trace and back. It is made here and not by FastAPI's telemetry, because the layer
around every application knows all that stands in it already (docs/adr/0011).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextvars import ContextVar, Token
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util.types import Attributes, AttributeValue
from prometheus_client import CollectorRegistry, Counter
from starlette.types import Scope

from prodkit import correlation
from prodkit.correlation import RequestContext
from prodkit.metrics import METHODS
from prodkit.otlp import PlainSpanExporter

_EXPORT_SECONDS = (
    3.0  # for one batch, and for the last one at the end: it has to fit into the lifespan's time
)
_BATCH_SPANS = 2048
"""So many, because a request to the receiver costs as much as many spans; about half a megabyte."""
_QUEUE_SPANS = 8192
"""Some seconds of a busy process whose receiver does not answer."""
_PATH = "/v1/traces"
_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
_SECRET_PARAMETERS = frozenset(
    {"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature"}
)
"""Of a query: the semantic conventions name them."""
_PORTS = {"http": 80, "https": 443}
_SERVER_ERROR = 500

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
        out = exporter or PlainSpanExporter(endpoint.rstrip("/") + _PATH, timeout=_EXPORT_SECONDS)
        self.provider = TracerProvider(
            resource=Resource.create({**(resource or {})}),
            sampler=_FollowRequest(ratio),
            id_generator=_RequestIds(),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(
            BatchSpanProcessor(
                _CountingExporter(out, registry),
                max_queue_size=_QUEUE_SPANS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self._tracer = self.provider.get_tracer("prodkit", schema_url=_SCHEMA)

    def begin(self, request: RequestContext, scope: Scope) -> ServerSpan:
        """Start the server span of a request that is kept, and make it the current one."""
        parent = _parent(request, scope)
        _server_span.set(request)
        known = scope["method"] in METHODS
        attributes: dict[str, AttributeValue] = {
            "http.request.method": scope["method"] if known else "_OTHER",
            "url.scheme": scope.get("scheme", "http"),
            "url.path": scope["path"],
            "network.protocol.version": scope.get("http_version", "1.1"),
        }
        if not known:
            attributes["http.request.method_original"] = scope["method"]
        if scope.get("query_string"):
            attributes["url.query"] = _query(scope["query_string"])
        attributes.update(_server(scope))
        name = scope["method"] if known else "HTTP"
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return ServerSpan(span, name, otel.attach(trace.set_span_in_context(span, parent)))

    async def close(self) -> None:
        """Send what is left, for three seconds at most."""
        # A thread of our own: the interpreter must not wait at exit for a receiver that hangs.
        closing = threading.Thread(target=self.provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _EXPORT_SECONDS
        while closing.is_alive() and loop.time() < deadline:  # noqa: ASYNC110  threads have no awaitable end
            await asyncio.sleep(0.01)


class ServerSpan:
    """The span of one request, while it is being handled."""

    __slots__ = ("_name", "_span", "_token")

    def __init__(self, span: Span, name: str, token: Token[Context]) -> None:
        self._span = span
        self._name = name
        self._token = token

    def end(self, route: str, status: int, failure: BaseException | None) -> None:
        """End it. `route`: template, empty when none took the request; `status`: 0 when nothing was answered."""
        otel.detach(self._token)
        attributes: dict[str, AttributeValue] = {}
        if route:
            attributes["http.route"] = route
            self._span.update_name(f"{self._name} {route}")
        if status:
            attributes["http.response.status_code"] = status
        if failure is not None or not status or status >= _SERVER_ERROR:
            attributes["error.type"] = (
                _type_of(failure) if failure is not None else str(status or "disconnected")
            )
            self._span.set_status(StatusCode.ERROR)
        self._span.set_attributes(attributes)
        self._span.end()


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
        parent = trace.get_current_span(parent_context).get_span_context()
        if request is not None:
            decision = Decision.RECORD_AND_SAMPLE if request.sampled else Decision.DROP
            return SamplingResult(decision, attributes if request.sampled else None, parent.trace_state)
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


def _parent(request: RequestContext, scope: Scope) -> Context:
    """The caller's span and baggage, as OpenTelemetry's own propagators would read them."""
    if not request.parent_id:  # a forged or missing traceparent: its companions count for nothing either
        context = Context()
    else:
        states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
        caller = SpanContext(
            int(request.trace_id, 16),
            int(request.parent_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(request.trace_flags, 16)),
            trace_state=TraceState.from_header(states) if states else None,
        )
        context = trace.set_span_in_context(NonRecordingSpan(caller), Context())
    baggage = [value for name, value in scope["headers"] if name == b"baggage"]
    if baggage:
        carrier = {"baggage": b",".join(baggage).decode("latin-1")}
        context = W3CBaggagePropagator().extract(carrier, context)
    return context


def _server(scope: Scope) -> dict[str, AttributeValue]:
    """Attributes that say which host the caller meant."""
    for name, value in scope["headers"]:
        if name == b"host":
            return _authority(value, scope.get("scheme", "http"))
    address = scope.get("server")
    return {"server.address": address[0], "server.port": address[1] or 0} if address else {}


@lru_cache(maxsize=64)
def _authority(host: bytes, scheme: str) -> dict[str, AttributeValue]:
    try:
        url = urlsplit("//" + host.decode("latin-1"))
        address, port = url.hostname, url.port
    except ValueError:
        return {}
    if not address or url.username is not None or url.path or url.query or url.fragment:
        return {}
    port = port if port is not None else _PORTS.get(scheme)
    return {"server.address": address} if port is None else {"server.address": address, "server.port": port}


def _query(raw: bytes) -> str:
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    return urlencode([(key, "REDACTED" if key in _SECRET_PARAMETERS else value) for key, value in pairs])


def _type_of(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
