"""Traces, as a receiver of OTLP over HTTP gets them. The receiver here only decodes: a collector is for e2e."""

from __future__ import annotations

import http.server
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from prodkit import App, Problem, Settings
from prodkit.access import AccessLog
from prodkit.tracing import sampling_threshold

CALLER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Receiver:
    """What has been exported."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.endpoint = ""

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            received.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        received.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield received
        server.shutdown()


class Shop:
    """An application that traces, and its log."""

    def __init__(self, endpoint: str, ratio: float) -> None:
        self.lines = io.BytesIO()
        settings = Settings.load(
            name="shop", version="v9", namespace="shops", otlp_endpoint=endpoint, trace_ratio=ratio
        )
        self.app = App(settings, access_log=AccessLog({}, self.lines))

        @self.app.get("/orders/{order_id}")
        async def read(order_id: int) -> int:
            return order_id

        @self.app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("canary")

        @self.app.get("/busy")
        async def busy() -> None:
            raise Problem(503, "later")

    async def get(self, *requests: tuple[str, dict[str, str]]) -> list[dict[str, Any]]:
        """Send requests, close the application (which flushes), return the access lines."""
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://shop")
        async with self.app.router.lifespan_context(self.app), client:
            for path, headers in requests:
                await client.get(path, headers=headers)
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


@pytest.fixture
def traced(receiver: Receiver) -> Shop:
    return Shop(receiver.endpoint, 1.0)


async def test_a_span_has_the_ids_of_the_log_line_and_the_route(receiver: Receiver, traced: Shop) -> None:
    [line] = await traced.get(("/orders/7?color=red", {}))

    [span] = receiver.spans()
    assert (span.trace_id.hex(), span.span_id.hex()) == (line["trace_id"], line["span_id"])
    assert (span.name, span.kind) == ("GET /orders/{order_id}", Span.SPAN_KIND_SERVER)
    [resource] = receiver.requests[0].resource_spans
    attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert attributes["service.name"] == "shop"
    assert attributes["service.version"] == "v9"
    assert attributes["service.namespace"] == "shops"


async def test_a_span_says_what_was_asked_and_answered(receiver: Receiver, traced: Shop) -> None:
    await traced.get(("/orders/7?color=red&sig=canary", {"host": "shop.example:8443"}))

    [span] = receiver.spans()
    text = {item.key: item.value.string_value for item in span.attributes if item.value.string_value}
    numbers = {item.key: item.value.int_value for item in span.attributes if item.value.int_value}
    assert text == {
        "http.request.method": "GET",
        "http.route": "/orders/{order_id}",
        "url.scheme": "http",
        "url.path": "/orders/7",
        "url.query": "color=red&sig=REDACTED",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
    }
    assert numbers == {"http.response.status_code": 200, "server.port": 8443}


@pytest.mark.parametrize("host", ["user@shop", "shop:99999", "shop/path", "[::1", ""])
async def test_a_forged_host_is_left_out(receiver: Receiver, traced: Shop, host: str) -> None:
    await traced.get(("/orders/7", {"host": host}))

    [span] = receiver.spans()
    assert "server.address" not in {item.key for item in span.attributes}


async def test_what_runs_below_sees_the_span_and_what_the_caller_sent_along(receiver: Receiver) -> None:
    shop = Shop(receiver.endpoint, 0.0)
    seen: dict[str, Any] = {}

    @shop.app.get("/below")
    async def below() -> None:
        assert shop.app.tracing is not None
        with shop.app.tracing.provider.get_tracer("own").start_as_current_span("inner") as span:
            seen["state"] = dict(span.get_span_context().trace_state)
            seen["baggage"] = dict(baggage.get_all())

    headers = {"traceparent": f"00-{CALLER}-{PARENT}-01", "tracestate": "vendor=a", "baggage": "user=7"}
    await shop.get(("/below", headers))

    inner, server = sorted(receiver.spans(), key=lambda span: span.name == "GET /below")
    assert (inner.name, inner.parent_span_id) == ("inner", server.span_id)
    assert inner.trace_id == server.trace_id
    assert server.trace_state == inner.trace_state == "vendor=a"
    assert seen == {"state": {"vendor": "a"}, "baggage": {"user": "7"}}


async def test_errors_say_their_type(receiver: Receiver, traced: Shop) -> None:
    await traced.get(("/broken", {}), ("/busy", {}))

    types = [
        item.value.string_value
        for span in receiver.spans()
        for item in span.attributes
        if item.key == "error.type"
    ]
    assert types == ["RuntimeError", "503"]


async def test_nothing_of_one_request_is_left_for_the_next(receiver: Receiver, traced: Shop) -> None:
    await traced.get(("/orders/1", {}), ("/orders/2", {}))

    assert [span.parent_span_id for span in receiver.spans()] == [b"", b""]


async def test_a_callers_decision_is_followed(receiver: Receiver) -> None:
    shop = Shop(receiver.endpoint, 0.0)
    lines = await shop.get(
        ("/orders/1", {"traceparent": f"00-{CALLER}-{PARENT}-01"}),
        ("/orders/2", {"traceparent": f"00-{CALLER}-{PARENT}-00"}),
        ("/orders/3", {}),
    )

    [span] = receiver.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (CALLER, PARENT)
    assert span.span_id.hex() == lines[0]["span_id"]
    assert [line["trace_id"] == CALLER for line in lines] == [True, True, False]


async def test_a_forged_traceparent_is_ignored_by_span_and_log_alike(
    receiver: Receiver, traced: Shop
) -> None:
    [line] = await traced.get(("/orders/1", {"traceparent": f"00-{CALLER}-{PARENT}-01-more"}))

    [span] = receiver.spans()
    assert span.trace_id.hex() == line["trace_id"] != CALLER
    assert span.parent_span_id == b""


async def test_errors_are_errors_of_the_span(receiver: Receiver, traced: Shop) -> None:
    await traced.get(("/broken", {}), ("/busy", {}), ("/nope", {}))

    codes = [span.status.code for span in receiver.spans()]
    assert codes == [2, 2, 0]  # STATUS_CODE_ERROR twice; a 404 is the caller's


async def test_only_traced_requests_leave_an_exemplar(receiver: Receiver) -> None:
    shop = Shop(receiver.endpoint, 0.0)
    await shop.get(("/orders/1", {"traceparent": f"00-{CALLER}-{PARENT}-01"}), ("/orders/2", {}))

    text, _ = shop.app.metrics.expose("application/openmetrics-text; version=1.0.0")
    exemplars = [line for line in text.decode().splitlines() if "trace_id" in line]
    assert len(exemplars) == 1
    assert f'# {{trace_id="{CALLER}"}}' in exemplars[0]


async def test_exported_and_lost_spans_are_counted(receiver: Receiver, traced: Shop) -> None:
    await traced.get(("/orders/1", {}), ("/orders/2", {}))

    def count(outcome: str) -> float | None:
        return traced.app.metrics.registry.get_sample_value("trace_spans_total", {"outcome": outcome})

    assert (count("exported"), count("failed")) == (2, 0)
    assert len(receiver.spans()) == 2


async def test_a_receiver_that_is_gone_fails_no_request_and_does_not_hold_the_end() -> None:
    shop = Shop("http://127.0.0.1:1", 1.0)
    [line] = await shop.get(("/orders/1", {}))
    assert line["status"] == 200


async def test_without_an_endpoint_nothing_is_traced() -> None:
    shop = Shop("", 1.0)
    [line] = await shop.get(("/orders/1", {}))
    assert shop.app.tracing is None
    assert line["trace_id"]


@given(st.integers(0, 2**128 - 1), st.floats(0, 1))
def test_the_threshold_is_opentelemetrys_rule(trace_id: int, ratio: float) -> None:
    decision = TraceIdRatioBased(ratio).should_sample(None, trace_id, "x").decision
    sampled = decision is Decision.RECORD_AND_SAMPLE
    assert (f"{trace_id:032x}"[16:] < sampling_threshold(ratio)) is sampled
