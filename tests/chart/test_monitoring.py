"""Alerts and dashboard of the operator itself: Prometheus' own tool runs each alert, quiet and firing."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from e2e.packages import need
from productionservice import metrics
from tests.chart.rendering import CHART, NAMESPACE, ROOT, Json, of_kind, only, render

pytestmark = pytest.mark.api  # needs Helm, which is built with the cluster's other tools

ALL: Json = {"monitoring": {part: {"enabled": True} for part in ("serviceMonitor", "alerts", "dashboard")}}
RUNBOOK = ROOT / "docs" / "runbooks" / "operator.md"
US = f'job="productionservice-operator-metrics",namespace="{NAMESPACE}"'
POD = f'{US},pod="operator-1"'
BOTH = (POD, f'{US},pod="operator-2"')
NAME = re.compile(
    r"\b(?:controller_runtime|workqueue|rest_client|leader_election|productionservice|process)_\w+|\bup\b"
)


def buckets(name: str, fast: int, slow: int, bound: str) -> dict[str, str]:
    """Two buckets of a histogram: so many observations a minute below `bound`, and so many above it."""
    return {
        f'{name}_bucket{{{POD},le="{bound}"}}': f"0+{fast}x90",
        f'{name}_bucket{{{POD},le="60"}}': f"0+{fast + slow}x90",
        f'{name}_bucket{{{POD},le="+Inf"}}': f"0+{fast + slow}x90",
    }


def ready(false: int, true: int) -> dict[str, str]:
    """Services by their readiness, as both replicas count them."""
    name = "productionservice_conditions"
    return {
        f'{name}{{{pod},type="Ready",status="{status}"}}': f"{count}x90"
        for pod in BOTH
        for status, count in (("False", false), ("True", true), ("Unknown", 0))
    }


PASSES = f'controller_runtime_reconcile_total{{{POD},controller="productionservice",result="success"}}'
FAILED = f'controller_runtime_reconcile_errors_total{{{POD},controller="productionservice"}}'
PANICS = f'controller_runtime_reconcile_panics_total{{{POD},controller="productionservice"}}'
AGE = f'productionservice_informer_last_event_age_seconds{{{POD},resource="pods"}}'
QUEUE, LAG = "workqueue_queue_duration_seconds", "productionservice_loop_lag_seconds"
BUSY, FINE = (
    f'rest_client_requests_total{{{POD},code="429"}}',
    f'rest_client_requests_total{{{POD},code="200"}}',
)
BROKEN = f'rest_client_requests_total{{{POD},code="<error>"}}'
RSS, LIMIT = f"process_resident_memory_bytes{{{POD}}}", f"productionservice_memory_limit_bytes{{{POD}}}"
ENDS = f"productionservice_webhook_certificate_not_after_timestamp_seconds{{{POD}}}"
MISSED, DRIFT = f"productionservice_stream_missed_total{{{POD}}}", "productionservice_drift_corrections_total"
LEADS = [f'leader_election_master_status{{{pod},name="productionservice-operator"}}' for pod in BOTH]
LONGEST = f'workqueue_longest_running_processor_seconds{{{POD},name="productionservice"}}'

DONE = "workqueue_work_duration_seconds_count"
STALLED = {f"workqueue_depth{{{POD}}}": "3x90", LEADS[0]: "1x90", f"{DONE}{{{POD}}}": "7x90"}
AT_WORK = {
    f"workqueue_depth{{{POD}}}": "3x90", LEADS[0]: "1x90", f"{DONE}{{{POD}}}": "0+1x90",
    f"workqueue_depth{{{BOTH[1]}}}": "500x90", LEADS[1]: "0x90", f"{DONE}{{{BOTH[1]}}}": "0x90",
}  # fmt: skip
"""Beside a standby, whose keys wait for it to lead."""
FORBIDDEN = "productionservice_informer_forbidden"
STARTED = f"process_start_time_seconds{{{POD}}}"

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "Down": ({f"up{{{POD}}}": "1 0x90"}, {f"up{{{BOTH[0]}}}": "0x90", f"up{{{BOTH[1]}}}": "1x90"}),
    "NoLeader": (dict.fromkeys(LEADS, "0x90"), {LEADS[0]: "0x90", LEADS[1]: "1x90"}),
    "Stalled": (STALLED, AT_WORK),
    "NotReady": (
        {f"productionservice_ready{{{POD}}}": "0x90"},
        {f"productionservice_ready{{{POD}}}": "0x8 1x80"},
    ),
    "ReplicaMissing": ({f"up{{{POD}}}": "1x90"}, {f"up{{{pod}}}": "1x90" for pod in BOTH}),
    "Restarts": ({STARTED: "1x50 2x9 3x9 4x20"}, {STARTED: "1x50 2x9 3x30"}),
    "WatchDead": ({AGE: "60+60x90"}, {AGE: "70x90"}),
    "Forbidden": (
        {f'{FORBIDDEN}{{{POD},resource="services"}}': "1x90"},
        {
            f'{FORBIDDEN}{{{POD},resource="secrets"}}': "1x90",
            f'{FORBIDDEN}{{{POD},resource="services"}}': "0x90",
        },
    ),
    "StreamMissed": ({MISSED: "0x50 1+1x40"}, {MISSED: "7x90"}),
    "Errors": ({PASSES: "0+60x90", FAILED: "0+20x90"}, {PASSES: "0+60x90", FAILED: "0+2x90"}),
    "Panics": ({PANICS: "0x50 1+1x40"}, {PANICS: "3x90"}),
    "Slow": (buckets(QUEUE, 50, 50, "0.1"), buckets(QUEUE, 1000, 1, "0.1")),
    "PassStuck": ({LONGEST: "0+60x90"}, {LONGEST: "2x90"}),
    "Throttled": ({BUSY: "0+60x90"}, {BUSY: "0+6x90"}),
    "ApiErrors": ({BROKEN: "0+10x90", FINE: "0+90x90"}, {BROKEN: "0+1x90", FINE: "0+99x90"}),
    "LoopLag": (buckets(LAG, 50, 50, "0.1"), buckets(LAG, 1000, 1, "0.1")),
    "Memory": ({RSS: "250x90", LIMIT: "256x90"}, {RSS: "250x90", LIMIT: "0x90"}),
    "CertificateEnds": ({ENDS: f"{13 * 86400}x90"}, {ENDS: f"{15 * 86400}x90"}),
    "DriftFight": (
        {f'{DRIFT}{{{POD},kind="Service"}}': "0+2x90"},
        {f'{DRIFT}{{{POD},kind="Service"}}': "0x30 20x60"},
    ),
    "ServicesNotReady": (ready(30, 70), ready(3, 4)),
}
"""Series that make an alert fire, and series that come near and do not."""


ALSO_QUIET: list[tuple[str, str, dict[str, str]]] = [
    ("Errors", "for one service of three that fails", {PASSES: "0+0.55x90", FAILED: "0+0.25x90"}),
    ("Stalled", "when nothing is due", {**STALLED, f"workqueue_depth{{{POD}}}": "0x90"}),
    ("NoLeader", "while the Lease changes hands", {LEADS[0]: "1x78 0x12", LEADS[1]: "0x90"}),
    ("CertificateEnds", "without a webhook", {ENDS: " ".join(["Inf"] * 90)}),
    ("WatchDead", "for a kind that comes back", {AGE: "60+60x8 10x80"}),
]
"""More that comes near: for whom, why it is fine, and the series."""


@cache
def rules() -> tuple[Json, ...]:
    found: list[Json] = only(render(ALL), "PrometheusRule")["spec"]["groups"][0]["rules"]
    return tuple(found)


def alert_of(case: str) -> str:
    names = {f"ProductionServiceOperator{case}", f"Production{case}"}
    (found,) = names & {str(rule["alert"]) for rule in rules()}
    return found


def promtool(*arguments: str, fails: bool = False) -> str:
    """Its output. With `fails` it must find something wrong."""
    need({"promtool": "prometheus"})
    finished = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert bool(finished.returncode) is fails, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def rule_file(folder: Path, groups: object) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(groups))
    return path


def queries(panels: list[Json]) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", ()))


def dashboard() -> Json:
    found: Json = json.loads((CHART / "files" / "dashboard.json").read_text())
    return found


def exported() -> set[str]:
    """All names that the operator exports, suffixes of histograms included."""
    assert metrics.CONTROLLER
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {"up"} | {
        family.name + suffix for family in REGISTRY.collect() for suffix in suffixes.get(family.type, ("",))
    }


def test_each_alert_has_a_case_and_a_runbook() -> None:
    alerts = [rule["alert"] for rule in rules()]
    sections = re.findall(r"^## (\S+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert sorted(alert_of(case) for case in CASES) == sorted(alerts)
    assert sections == alerts, "in the same order"
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/operator.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} <= rule["annotations"].keys()


def test_each_alert_fires_when_it_should_and_not_when_it_is_near(tmp_path: Path) -> None:
    file = rule_file(tmp_path, only(render(ALL), "PrometheusRule")["spec"])
    suites = [(case, "fires", firing) for case, (firing, _) in CASES.items()]
    suites += [(case, "stays quiet", quiet) for case, (_, quiet) in CASES.items()]
    suites += [(case, f"stays quiet {why}", quiet) for case, why, quiet in ALSO_QUIET]
    tests: list[Json] = [
        {
            "name": f"{case} {does}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert_of(case)}",alertstate="firing"}})',
                    "eval_time": "80m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if does == "fires" else [],
                }
            ],
        }
        for case, does, series in suites
    ]
    suite = tmp_path / "tests.yaml"
    suite.write_text(yaml.safe_dump({"rule_files": [str(file)], "evaluation_interval": "1m", "tests": tests}))

    assert "SUCCESS" in promtool("test", "rules", str(suite))


def test_what_alerts_say_is_filled_in(tmp_path: Path) -> None:
    """Prometheus' tool shows the text of an alert only where it differs from what was expected: nothing is."""
    file = rule_file(tmp_path, only(render(ALL), "PrometheusRule")["spec"])
    tests: list[Json] = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in firing.items()],
            "alert_rule_test": [{"eval_time": "80m", "alertname": alert_of(case), "exp_alerts": []}],
        }
        for case, (firing, _) in CASES.items()
    ]
    suite = tmp_path / "texts.yaml"
    suite.write_text(yaml.safe_dump({"rule_files": [str(file)], "evaluation_interval": "1m", "tests": tests}))
    said = re.findall(r'description="([^"]*)"', promtool("test", "rules", str(suite), fails=True))

    assert len(said) == len(CASES)
    assert [text for text in said if "<" in text or "{{" in text or "NaN" in text] == []
    assert len([text for text in said if re.search(r"\d", text)]) >= len(CASES) - 4, "with the figure"


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    texts = [query.replace("$__rate_interval", "5m") for query in queries(dashboard()["panels"])]
    recorded = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]

    assert len(recorded) > 20
    promtool(
        "check", "rules", str(rule_file(tmp_path, {"groups": [{"name": "dashboard", "rules": recorded}]}))
    )


def test_alerts_and_dashboard_ask_only_for_what_the_operator_exports() -> None:
    texts = [*queries(dashboard()["panels"]), *(rule["expr"] for rule in rules())]
    asked = {name for text in texts for name in NAME.findall(text)}

    assert len(asked) > 20
    assert sorted(asked - exported()) == []


def test_documents_name_metrics_and_values_that_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    texts = [(ROOT / "docs" / "operating.md").read_text(), RUNBOOK.read_text()]
    quoted = {word for text in texts for word in re.findall(r"`([^`\n]+)`", text)}
    named = {word for word in quoted if NAME.fullmatch(word)}
    paths = {word for word in quoted if re.fullmatch(r"[a-z]\w+(\.\w+)+", word)}
    histograms = {name.removesuffix("_bucket") for name in exported()}

    assert len(named) > 20
    assert sorted(named - exported() - histograms) == []
    assert len(paths) > 5
    for path in paths:
        found = values
        for part in path.split("."):
            assert part in found, f"no value {path} in values.yaml"
            found = found[part]


def test_s18_every_selector_is_of_this_release() -> None:
    for rule in rules():
        series = re.findall(rf"(?:{NAME.pattern})(\{{[^}}]*\}})?", rule["expr"])
        assert series
        assert all(US in selector for selector in series), rule["expr"]


def test_s18_series_of_a_tenant_set_off_no_alert(tmp_path: Path) -> None:
    """A tenant's service may have the operator's name and export the same: the namespace cannot be forged."""
    file = rule_file(tmp_path, only(render(ALL), "PrometheusRule")["spec"])
    tests: list[Json] = [
        {
            "name": f"{case} of a tenant",
            "interval": "1m",
            "input_series": [
                *({"series": name, "values": values} for name, values in quiet.items()),
                *(
                    {"series": name.replace(f'namespace="{NAMESPACE}"', forged(NAMESPACE)), "values": values}
                    for name, values in firing.items()
                ),
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert_of(case)}",alertstate="firing"}})',
                    "eval_time": "80m",
                    "exp_samples": [],
                }
            ],
        }
        for case, (firing, quiet) in CASES.items()
    ]
    suite = tmp_path / "tenants.yaml"
    suite.write_text(yaml.safe_dump({"rule_files": [str(file)], "evaluation_interval": "1m", "tests": tests}))

    assert "SUCCESS" in promtool("test", "rules", str(suite))


def forged(namespace: str) -> str:
    """How Prometheus keeps a namespace that a scraped program writes on its own series."""
    return f'namespace="shop",exported_namespace="{namespace}"'


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        assert panel["type"] == "row" or panel["description"], panel["title"]
        cells |= own


def test_each_part_is_there_when_it_is_switched_on_and_only_then() -> None:
    kinds = {"serviceMonitor": "ServiceMonitor", "alerts": "PrometheusRule", "dashboard": "ConfigMap"}
    for part, kind in kinds.items():
        made: dict[str, Any] = {part: {"enabled": True, "labels": {"release": "main"}}}
        assert only(render({"monitoring": made}), kind)["metadata"]["labels"]["release"] == "main"
    assert [m for kind in kinds.values() for m in of_kind(render(), kind)] == []


def test_the_service_monitor_selects_the_metrics_service() -> None:
    manifests = render(ALL)
    monitor, services = only(manifests, "ServiceMonitor"), of_kind(manifests, "Service")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    port = monitor["spec"]["endpoints"][0]["port"]
    fitting = [s for s in services if wanted <= s["metadata"]["labels"].items()]

    assert [
        s["metadata"]["name"] for s in fitting if port in {p.get("name") for p in s["spec"]["ports"]}
    ] == ["productionservice-operator-metrics"]
