"""Traces at a real OpenTelemetry Collector: built from its own modules, spans in by OTLP, printed in full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.tools.builder import tool
from tests.service.processes import ServiceProcess, eventually, run_service
from tests.service.real.servers import Server, free_port

_CONFIG = """\
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{port}"}}
exporters:
  debug: {{verbosity: detailed}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
"""
_SPAN = re.compile(r"Trace ID +: (\w+)\n +Parent ID +: ?(\w*)\n +ID +: (\w+)\n +Name +: (.+)")
CALLER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(Server):
    """A collector that prints what it gets."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def printed(self) -> str:
        return (self.directory / "log").read_text()

    def spans(self) -> list[tuple[str, str, str, str]]:
        """Trace id, parent's id, span id and name of each span."""
        return [(found[0], found[1], found[2], found[3]) for found in _SPAN.findall(self.printed())]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    program, port = tool("collector"), free_port()
    (tmp_path / "collector.yaml").write_text(_CONFIG.format(port=port))
    server = Collector([str(program), "--config=collector.yaml"], tmp_path, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def traced(collector: Collector) -> dict[str, str]:
    """Settings of a catalogue that traces every request there."""
    return {
        "CATALOG_PORT": "0",
        "CATALOG_ADMIN_PORT": "0",
        "CATALOG_HOST": "127.0.0.1",
        "CATALOG_OTLP_ENDPOINT": collector.endpoint,
        "CATALOG_TRACE_RATIO": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds until a batch leaves; five seconds by default
    }


async def get(service: ServiceProcess, count: int, **headers: str) -> list[int]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        return [(await client.get("/products?limit=2", headers=headers)).status_code for _ in range(count)]


async def exported(service: ServiceProcess, outcome: str) -> float:
    text = (await service.admin("/metrics")).text
    found = re.search(rf'^trace_spans_total{{outcome="{outcome}"}} (\S+)$', text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def test_spans_arrive_with_the_ids_of_the_log_lines(collector: Collector, tmp_path: Path) -> None:
    async with run_service("-m", "catalog", log=tmp_path / "service.log", env=traced(collector)) as service:
        assert await get(service, 3) == [200] * 3
        assert await get(service, 1, traceparent=f"00-{CALLER}-{PARENT}-01") == [200]
        assert await get(service, 1, traceparent=f"00-{CALLER}-{PARENT}-00") == [200]  # not to be traced

        async def arrived() -> bool:
            return len(collector.spans()) >= 4

        await eventually(arrived, what="four spans at the collector")
        lines = service.events("request")

    logged = [(line["trace_id"], line["span_id"]) for line in lines]
    spans = collector.spans()
    assert [(trace, span) for trace, _, span, _ in spans] == logged[:4]
    assert {name for _, _, _, name in spans} == {"GET /products"}
    assert [parent for _, parent, _, _ in spans] == ["", "", "", PARENT]
    assert logged[3][0] == logged[4][0] == CALLER
    assert "service.name: Str(catalog)" in collector.printed()


async def test_a_collector_that_is_down_costs_no_request(collector: Collector, tmp_path: Path) -> None:
    async with run_service("-m", "catalog", log=tmp_path / "service.log", env=traced(collector)) as service:
        collector.stop()
        assert await get(service, 20) == [200] * 20

        async def lost() -> bool:
            return await exported(service, "failed") == 20

        await eventually(lost, seconds=30, what="the lost spans counted")
        collector.start()
        assert await get(service, 1) == [200]

        async def arrived() -> bool:
            return len(collector.spans()) == 1 and await exported(service, "exported") == 1

        await eventually(arrived, seconds=30, what="a span at the collector that is back")
