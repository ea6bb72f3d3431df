"""Our bytes of a span say what OpenTelemetry's own encoder says of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from prodkit import otlp

RESOURCE = Resource({"service.name": "shop", "replicas": 3})
SCOPES = (InstrumentationScope("prodkit", "1.0", "https://schema"), InstrumentationScope("own"), None)

scalars = st.one_of(
    st.text(max_size=200), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)
)
values = st.one_of(scalars, st.lists(st.text(max_size=5), max_size=3).map(tuple))
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    trace_state=st.sampled_from([TraceState(), TraceState([("vendor", "a"), ("other", "b")])]),
)
spans = st.builds(
    ReadableSpan,
    name=st.text(max_size=200),
    context=contexts,
    parent=st.none() | contexts,
    resource=st.just(RESOURCE),
    attributes=st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=8),
    events=st.lists(st.just(Event("e", {"a": 1}, 7)), max_size=1),
    links=st.lists(contexts.map(Link), max_size=1),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from(
        [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "why"), Status(StatusCode.ERROR)]
    ),
    start_time=st.integers(0, 2**64 - 1),
    end_time=st.integers(0, 2**64 - 1),
    instrumentation_scope=st.sampled_from(SCOPES),
)


def flat(message: ExportTraceServiceRequest) -> list[tuple[Any, ...]]:
    """Every span with what stands around it, in an order of its own."""
    return sorted(
        (
            span.SerializeToString(deterministic=True),
            resource.resource.SerializeToString(deterministic=True),
            resource.schema_url,
            scope.scope.SerializeToString(deterministic=True),
            scope.schema_url,
        )
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


@given(st.lists(spans, max_size=6))
def test_the_same_as_opentelemetrys_encoder(batch: list[ReadableSpan]) -> None:
    ours = ExportTraceServiceRequest.FromString(otlp.encode(batch))
    assert flat(ours) == flat(encode_spans(batch))


@pytest.mark.parametrize(
    "value", ["", "x" * 63, "x" * 65, "x" * 127, "x" * 20_000, 0, -1, 1, True, False, 1.0, 2**63 - 1]
)
def test_a_plain_span_takes_the_short_way(value: object) -> None:
    span = ReadableSpan(
        "GET /",
        SpanContext(1, 2, False),
        resource=RESOURCE,
        attributes={"k": value},  # type: ignore[dict-item]  # scalars
        start_time=1,
        end_time=2,
        instrumentation_scope=SCOPES[0],
    )
    assert otlp._span(span) is not None
    assert flat(ExportTraceServiceRequest.FromString(otlp.encode([span]))) == flat(encode_spans([span]))


def test_half_a_surrogate_pair_loses_the_attribute_and_not_the_span() -> None:
    span = ReadableSpan(
        "GET /",
        SpanContext(1, 2, False),
        resource=RESOURCE,
        attributes={"bad": "\ud800", "good": "x"},
        start_time=1,
        end_time=2,
    )
    [encoded] = (
        ExportTraceServiceRequest.FromString(otlp.encode([span])).resource_spans[0].scope_spans[0].spans
    )
    assert [item.key for item in encoded.attributes] == ["good"]


def test_what_is_reached_into_of_opentelemetrys_exporter() -> None:
    exporter = OTLPSpanExporter("http://127.0.0.1:1/v1/traces", timeout=0.1)
    assert exporter._shutdown is False
    assert callable(exporter._client.export)
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the library's
    assert exporter._shutdown is True
