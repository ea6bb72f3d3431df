"""The whole stack around an application, without sockets: ids, log, metrics, headers, errors, admin port."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from prodkit import App, Problem, Settings, propagation_headers
from prodkit.access import AccessLog
from prodkit.correlation import current

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Order(BaseModel):
    quantity: int
    secret: str = ""


class Harness:
    """An application, clients for both of its ports, and what it logs."""

    def __init__(self) -> None:
        self.lines = io.BytesIO()
        settings = Settings.load(name="shop", version="v9", body_bytes=1000)
        self.app = App(settings, access_log=AccessLog({"service": "shop"}, self.lines))
        _add_routes(self.app)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://shop")
        self.admin = httpx.AsyncClient(transport=httpx.ASGITransport(self.app.admin), base_url="http://admin")

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    def count(self, **labels: str) -> float | None:
        return self.app.metrics.registry.get_sample_value(
            "http_server_request_duration_seconds_count", labels
        )


def _add_routes(app: App) -> None:
    router = APIRouter(prefix="/orders")

    @router.get("/{order_id}")
    async def read(order_id: int) -> dict[str, Any]:
        context = current()
        return {"id": order_id, "seen": context and context.request_id, "out": propagation_headers()}

    @router.post("", status_code=201)
    async def create(order: Order) -> int:
        return order.quantity

    @router.get("/broken/now")
    async def broken() -> None:
        raise RuntimeError("canary: the password is hunter2")

    @router.get("/gone/now")
    async def gone() -> None:
        raise Problem(410, "order again", headers={"X-Hint": "1"})

    app.include_router(router, prefix="/v1")


@pytest.fixture
async def shop() -> AsyncIterator[Harness]:
    harness = Harness()
    async with (
        harness.app.router.lifespan_context(harness.app),
        harness.client,
        harness.admin,
    ):
        yield harness


async def test_one_id_goes_through_response_handler_log_and_outgoing_calls(shop: Harness) -> None:
    reply = await shop.client.get(
        "/v1/orders/7",
        headers={"X-Request-ID": "caller.1", "traceparent": TRACEPARENT, "User-Agent": "test/1"},
    )

    [line] = shop.log()
    assert reply.headers["x-request-id"] == "caller.1"
    assert reply.json()["seen"] == "caller.1"
    assert reply.json()["out"] == {
        "X-Request-ID": "caller.1",
        "traceparent": f"00-0af7651916cd43dd8448eb211c80319c-{line['span_id']}-01",
    }
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_the_access_line_has_the_fields_of_the_roadmap(shop: Harness) -> None:
    await shop.client.get("/v1/orders/7", headers={"X-Request-ID": "caller.1", "User-Agent": "test/1"})

    [line] = shop.log()
    assert set(line) == {
        "timestamp", "level", "event", "service", "request_id", "trace_id", "span_id", "method", "route",
        "path", "status", "duration_ms", "bytes", "user_agent", "client",
    }  # fmt: skip
    assert (line["event"], line["level"], line["service"]) == ("request", "info", "shop")
    assert (line["method"], line["route"], line["path"]) == ("GET", "/v1/orders/{order_id}", "/v1/orders/7")
    assert (line["status"], line["user_agent"], line["client"]) == (200, "test/1", "127.0.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert line["duration_ms"] > 0
    assert line["bytes"] > 0


@pytest.mark.parametrize("hostile", ['x" y', "a" * 65, "ü", "${jndi:ldap://x}", "a,b"])
async def test_a_hostile_id_never_comes_back(shop: Harness, hostile: str) -> None:
    reply = await shop.client.get("/v1/orders/7", headers={b"X-Request-ID": hostile.encode()})

    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])
    assert hostile not in shop.lines.getvalue().decode()


async def test_two_ids_are_none(shop: Harness) -> None:
    reply = await shop.client.get("/v1/orders/7", headers=[("X-Request-ID", "one"), ("X-Request-ID", "two")])
    assert reply.headers["x-request-id"] not in ("one", "two")


async def test_line_breaks_in_a_path_do_not_forge_a_log_line(shop: Harness) -> None:
    await shop.client.get("/nope%0A%7B%22level%22:%22error%22%7D")
    [line] = shop.log()
    assert line["path"] == '/nope\n{"level":"error"}'


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/v1/orders/7", 200, "/v1/orders/{order_id}"),
        ("GET", "/v1/orders/seven", 422, "/v1/orders/{order_id}"),
        ("PUT", "/v1/orders/7", 405, "/v1/orders/{order_id}"),
        ("GET", "/nope", 404, "unmatched"),
        ("GET", "/v1/orders/gone/now", 410, "/v1/orders/gone/now"),
        ("GET", "/v1/orders/broken/now", 500, "/v1/orders/broken/now"),
        ("BREW", "/nope", 404, "unmatched"),
    ],
)
async def test_every_response_has_id_headers_and_a_metric(
    shop: Harness, method: str, path: str, status: int, route: str
) -> None:
    reply = await shop.client.request(method, path)

    assert reply.status_code == status
    assert reply.headers["x-request-id"] == shop.log()[0]["request_id"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["cache-control"] == "no-store"
    label = method if method != "BREW" else "_OTHER"
    assert shop.count(method=label, route=route, status=str(status)) == 1
    if status >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


async def test_an_unknown_path_or_method_makes_no_new_series(shop: Harness) -> None:
    for number in range(50):
        await shop.client.request(f"M{number}", f"/nope/{number}")
    text = (await shop.admin.get("/metrics")).text
    assert "nope" not in text
    assert shop.count(method="_OTHER", route="unmatched", status="404") == 50


async def test_series_exist_at_zero_before_the_first_request(shop: Harness) -> None:
    for method, route, success in (
        ("GET", "/v1/orders/{order_id}", "200"),
        ("POST", "/v1/orders", "201"),
        ("GET", "/version", "200"),
    ):
        for status in (success, "500", "503"):
            assert shop.count(method=method, route=route, status=status) == 0
    assert shop.count(method="GET", route="unmatched", status="404") == 0
    assert shop.app.metrics.registry.get_sample_value("http_server_active_requests") == 0
    assert (
        shop.app.metrics.registry.get_sample_value("http_server_rejected_requests_total", {"status": "431"})
        == 0
    )


async def test_a_crash_leaks_nothing_but_the_id(shop: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    reply = await shop.client.get("/v1/orders/broken/now")

    assert (reply.status_code, reply.json()["title"]) == (500, "Internal Server Error")
    assert "canary" not in reply.text
    assert shop.log()[0]["level"] == "error"
    assert "canary" in capsys.readouterr().out  # the log has the traceback, for those who may read it


async def test_a_bad_field_is_named_without_its_value(shop: Harness) -> None:
    reply = await shop.client.post("/v1/orders", json={"quantity": "many", "secret": ["canary"]})

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["body.quantity", "body.secret"]
    assert "canary" not in reply.text


async def test_a_problem_carries_detail_and_headers(shop: Harness) -> None:
    reply = await shop.client.get("/v1/orders/gone/now")
    assert (reply.json()["detail"], reply.headers["x-hint"]) == ("order again", "1")


async def test_a_body_over_the_limit_is_refused_before_it_is_read(shop: Harness) -> None:
    reply = await shop.client.post("/v1/orders", content=b"x" * 1001)
    assert (reply.status_code, reply.headers["connection"]) == (413, "close")
    assert reply.json()["detail"] == "the body may have 1000 bytes"


async def test_a_chunked_body_over_the_limit_is_refused(shop: Harness) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    reply = await shop.client.post(
        "/v1/orders", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.headers["content-type"]) == (413, "application/problem+json")


async def test_version_is_on_both_ports(shop: Harness) -> None:
    public = (await shop.client.get("/version")).json()
    assert public == (await shop.admin.get("/version")).json()
    assert (public["name"], public["version"], public["environment"]) == ("shop", "v9", "development")


async def test_documentation_is_on_the_admin_port_only(shop: Harness) -> None:
    assert (await shop.client.get("/openapi.json")).status_code == 404
    assert (await shop.client.get("/docs")).status_code == 404
    assert "/v1/orders/{order_id}" in (await shop.admin.get("/openapi.json")).json()["paths"]
    assert (await shop.admin.get("/docs")).status_code == 200


async def test_probes_follow_the_lifecycle() -> None:
    harness = Harness()
    async with harness.client, harness.admin:
        assert (await harness.admin.get("/livez")).status_code == 200
        assert (await harness.admin.get("/startupz")).status_code == 503
        assert (await harness.admin.get("/readyz")).status_code == 503
        async with harness.app.router.lifespan_context(harness.app):
            assert (await harness.admin.get("/startupz")).status_code == 200
            ready = await harness.admin.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"status": "ok", "checks": {}})
            assert (await harness.admin.get("/readyz/none-such")).status_code == 404
            harness.app.lifecycle.mark_draining()
            assert (await harness.admin.get("/startupz")).status_code == 200
            assert (await harness.admin.get("/readyz")).status_code == 503


async def test_openmetrics_on_request(shop: Harness) -> None:
    reply = await shop.admin.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")
