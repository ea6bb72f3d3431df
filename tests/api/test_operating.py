"""What on-call sees of an operator at work: metrics under the names that dashboards know, and health."""

from __future__ import annotations

import json
import signal
import urllib.error

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.eventually import eventually
from tests.api.team import Team

pytestmark = pytest.mark.api

CONTROLLER_RUNTIME = {
    "controller_runtime_active_workers",
    "controller_runtime_max_concurrent_reconciles",
    "controller_runtime_reconcile_errors_total",
    "controller_runtime_reconcile_panics_total",
    "controller_runtime_reconcile_time_seconds_bucket",
    "controller_runtime_reconcile_total",
    "controller_runtime_terminal_reconcile_errors_total",
    "leader_election_master_status",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "rest_client_requests_total",
    "workqueue_adds_total",
    "workqueue_depth",
    "workqueue_longest_running_processor_seconds",
    "workqueue_queue_duration_seconds_bucket",
    "workqueue_retries_total",
    "workqueue_unfinished_work_seconds",
    "workqueue_work_duration_seconds_bucket",
}
"""Of controller-runtime v0.24 and client-go, those that say something here; stock dashboards ask for them.

Not among them: controller_runtime_reconcile_timeouts_total and webhook_panics_total (there is nothing of the kind),
rest_client_rate_limiter_duration_seconds (our limiter: productionservice_write_limiter_wait_seconds_total), go_*.
Those of the webhook are there where it is served (tests/operator/admission/test_server.py).
"""


def scraped(team: Team) -> dict[str, list[tuple[dict[str, str], float]]]:
    """All samples by name, with labels and value."""
    status, text = team.operator.get("/metrics")
    assert status == 200
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def test_stock_dashboards_find_their_metrics(team: Team) -> None:
    team.apply()
    team.converged()
    found = scraped(team)

    assert sorted(CONTROLLER_RUNTIME - found.keys()) == []
    for name in ("workqueue_depth", "workqueue_adds_total"):
        assert [labels for labels, _ in found[name]] == [
            {"name": "productionservice", "controller": "productionservice"}
        ]


def test_no_label_names_a_service(team: Team) -> None:
    """Two thousand services must not become two thousand series of everything."""
    team.apply("needle-in-a-label")
    team.converged("needle-in-a-label")
    _, text = team.operator.get("/metrics")

    assert "needle-in-a-label" not in text
    assert team.namespace not in text


def test_repaired_drift_is_counted_by_kind(team: Team) -> None:
    team.apply()
    team.converged()
    series = 'productionservice_drift_corrections_total{kind="Service"}'
    before = team.operator.metric(series)
    team.repair()

    assert team.operator.metric(series) == before + 1


def test_services_are_counted_by_what_they_say(team: Team) -> None:
    team.apply()
    team.converged()

    def counted() -> None:
        says = {
            (labels["type"], labels["status"]): value
            for labels, value in scraped(team)["productionservice_conditions"]
        }
        assert says["Applied", "True"] >= 1
        assert says["Ready", "Unknown"] + says["Ready", "False"] >= 1, "no node runs its pods here"
        assert ("Paused", "True") in says

    eventually(counted, timeout=30)


def test_the_lines_of_a_pass_have_its_id_and_the_service(team: Team) -> None:
    team.apply()
    team.converged()
    lines = [json.loads(line) for line in team.operator.log.read_text().splitlines()]
    made = [line for line in lines if line.get("namespace") == team.namespace]

    assert {"children changed"} <= {line["event"] for line in made}
    for line in made:
        assert {"reconcile_id", "name", "trigger", "level", "timestamp"} <= line.keys(), line


def test_an_operator_that_does_not_get_to_anything_does_not_answer_its_probes(team: Team) -> None:
    process = team.operator.process
    assert process is not None
    assert team.operator.get("/healthz")[0] == 200
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises((TimeoutError, urllib.error.URLError)):
            team.operator.get("/healthz")
    finally:
        process.send_signal(signal.SIGCONT)

    def answers() -> None:
        assert team.operator.get("/healthz")[0] == 200

    eventually(answers, timeout=30)
