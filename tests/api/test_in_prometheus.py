"""A real Prometheus scrapes an operator at work: what dashboard and alerts ask for is there, and nothing fires."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from e2e import crds
from e2e.eventually import eventually
from e2e.packages import need
from tests.api.team import Team
from tests.chart.rendering import CHART, NAME, NAMESPACE, Json, only, render

pytestmark = pytest.mark.api

JOB, POD = f"{NAME}-metrics", "operator-1"
US = f'job="{JOB}",namespace="{NAMESPACE}"'
VALUES: Json = {"replicas": 1, "monitoring": {"alerts": {"enabled": True}}}
NOT_HERE = {
    "Conditions that are False": "or there may be none",
    "Memory": "no limit on a process that no kubelet started, but its use is there",
    "Webhook": "is not served",
    "Webhook's certificate ends in": "is not served",
}
"""Panels of which a query may have no answer."""
SERIES = re.compile(r"\b([a-z_]+)\{([^}]*)\}")


class Prometheus:
    """One server on loopback, which scrapes one operator each second as if it were a pod of the release."""

    def __init__(self, folder: Path, scraped: str) -> None:
        need({"prometheus": "prometheus"})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        rules, config = folder / "rules.yaml", folder / "prometheus.yaml"
        rules.write_text(yaml.safe_dump(only(render(VALUES), "PrometheusRule")["spec"]))
        labels = {"namespace": NAMESPACE, "pod": POD}
        config.write_text(
            yaml.safe_dump({
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {"job_name": JOB, "static_configs": [{"targets": [scraped], "labels": labels}]}
                ],
            })
        )  # fmt: skip
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def get(self, path: str, **parameters: str) -> Any:
        """What its API says. Raises httpx.HTTPError for a query that is none, and while it starts."""
        answer = httpx.get(f"http://{self.address}/api/v1/{path}", params=parameters, trust_env=False)
        return answer.raise_for_status().json()["data"]

    def query(self, expression: str) -> list[Json]:
        """One sample a series, as of now."""
        found: list[Json] = self.get("query", query=expression)["result"]
        return found


@pytest.fixture
def prometheus(team: Team, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, team.operator.address)

    def scraped() -> None:
        assert server.query("up")[0]["value"][1] == "1"

    try:
        eventually(scraped, timeout=30)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)


def test_the_real_crds_take_the_charts_monitor_and_rules(team: Team) -> None:
    crds.install(team.cluster, "prometheus-operator", "servicemonitors", "prometheusrules")
    parts: Json = {
        part: {"enabled": True, "labels": {"release": "main"}}
        for part in ("serviceMonitor", "alerts", "dashboard")
    }
    manifests = render({"monitoring": parts})
    for kind in ("ServiceMonitor", "PrometheusRule"):
        manifest = only(manifests, kind)
        manifest["metadata"]["namespace"] = team.namespace
        team.create(manifest, "--server-side", "--validate=strict")
    assert team.exists("prometheusrule", NAME)
    assert team.exists("servicemonitor", NAME)


def panels() -> list[Json]:
    found: list[Json] = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def asked(panel: Json) -> list[str]:
    """Its queries, as Grafana would send them."""
    filled = {"$namespace": NAMESPACE, "$job": JOB, "$__rate_interval": "1m"}
    queries = [target["expr"] for target in panel["targets"]]
    for name, value in filled.items():
        queries = [query.replace(name, value) for query in queries]
    return queries


def test_each_panel_shows_something_and_no_alert_fires_at_an_operator_at_work(
    team: Team, prometheus: Prometheus
) -> None:
    team.apply()
    team.converged()
    team.repair()

    def everything_is_shown() -> None:
        empty = {
            panel["title"]: [query for query in asked(panel) if not prometheus.query(query)]
            for panel in panels()
        }
        assert {title: queries for title, queries in empty.items() if queries and title not in NOT_HERE} == {}

    eventually(everything_is_shown, timeout=60)
    rules = prometheus.get("rules")["groups"][0]["rules"]
    assert len(rules) > 10
    assert {(rule["name"], rule["health"], rule["state"]) for rule in rules} == {
        (rule["name"], "ok", "inactive") for rule in rules
    }
    assert prometheus.get("targets")["activeTargets"][0]["lastError"] == ""


def test_labels_that_alerts_and_dashboard_select_by_exist(team: Team, prometheus: Prometheus) -> None:
    team.apply()
    team.converged()
    expressions = [
        rule["expr"] for rule in only(render(VALUES), "PrometheusRule")["spec"]["groups"][0]["rules"]
    ]
    expressions += [query for panel in panels() for query in asked(panel)]
    selected = {
        (name, label)
        for expression in expressions
        for name, matchers in SERIES.findall(expression)
        for label in re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)
    }
    grouped = {
        label
        for text in expressions
        for found in re.findall(r"\b(?:by|on) \(([^)]+)\)", text)
        for label in found.split(", ")
    }

    assert len(selected) > 50
    for name, label in sorted(selected):
        assert label in prometheus.get("labels", **{"match[]": name}) or "webhook" in name, (name, label)
    assert grouped <= set(prometheus.get("labels", **{"match[]": f"{{{US}}}"})) | {"code"}
