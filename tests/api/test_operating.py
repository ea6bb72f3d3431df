"""What on-call sees of an operator at work: metrics under the names that dashboards know, and health."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import __version__
from productionservice.rbac import cluster_rules
from tests.api.operator_process import OperatorProcess
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


@pytest.fixture(scope="module")
def operator(
    api_cluster: Cluster, every_kind: None, tmp_path_factory: pytest.TempPathFactory  # noqa: ARG001 - for its effect
) -> Iterator[OperatorProcess]:  # fmt: skip
    """One operator for this module, which says everything."""
    folder = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(api_cluster, f"system-{uuid.uuid4().hex[:8]}", folder, {"LOG_LEVEL": "debug"})
    process.install()
    process.start()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "namespace", process.home, "--wait=false")


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
    assert found["productionservice_build_info"] == [({"version": __version__}, 1)]
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


def test_the_lines_of_a_pass_say_which_and_how_it_ended_and_no_secret(team: Team) -> None:
    team.kubectl("create", "secret", "generic", "db", "--from-literal=password=do-not-log-me")
    secret = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    team.apply(env=[secret])
    team.converged()
    team.apply(env=[secret], port=8080)
    team.converged()
    text = team.operator.log.read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line.get("namespace") == team.namespace]
    passes: dict[str, list[dict[str, object]]] = {}
    for line in lines:
        assert {"reconcile_id", "name", "trigger", "level", "logger", "timestamp"} <= line.keys(), line
        passes.setdefault(line["reconcile_id"], []).append(line)

    assert "do-not-log-me" not in text
    assert "ZG8tbm90LWxvZy1tZ" not in text, "in base64"
    for each in passes.values():
        assert [line["event"] for line in each].count("the pass has ended") == 1
        assert each[-1].keys() >= {"outcome", "duration"}
        assert len({(line["name"], line["trigger"]) for line in each}) == 1
    made = [line for line in lines if line["event"] == "children changed"]
    assert {line["generation"] for line in made} == {1, 2}


def test_figures_are_there_at_0_before_anything_happens(team: Team) -> None:
    """Prometheus sees no increase in a series that begins at 5."""
    found = scraped(team)

    for name in ("changes_total", "drift_corrections_total", "informer_lists_total", "stream_missed_total",
                 "events_dropped_total"):  # fmt: skip
        assert found[f"productionservice_{name}"], name
    kinds = {labels["kind"] for labels, _ in found["productionservice_drift_corrections_total"]}
    assert kinds >= {"Deployment", "Service", "ServiceMonitor"}
    assert {(labels["kind"], labels["action"]) for labels, _ in found["productionservice_changes_total"]} == {
        (kind, action) for kind in kinds for action in ("created", "configured", "deleted")
    }


def test_an_operator_that_may_not_list_services_is_not_ready_and_says_why(
    api_cluster: Cluster, every_kind: None, tmp_path: Path  # noqa: ARG001 - for its effect
) -> None:  # fmt: skip
    rules = [rule for rule in cluster_rules() if rule["resources"] != ["productionservices"]]
    process = OperatorProcess(api_cluster, f"system-{uuid.uuid4().hex[:8]}", tmp_path, rules=rules)
    process.install()
    process.start(wait=False)

    def waits() -> None:
        assert process.get("/readyz") == (503, "services: not listed yet\n")
        assert process.get("/healthz")[0] == 200, "a new process would not help"
        assert process.metric("productionservice_ready") == 0
        assert process.metric('productionservice_informer_forbidden{resource="productionservices"}') == 1
        assert process.metric('leader_election_master_status{name="productionservice-operator"}') == 1
        events = {line["event"]: line for line in map(json.loads, process.log.read_text().splitlines())}
        assert "forbidden" in events["services cannot be listed"]["error"]

    try:
        eventually(waits, timeout=30)
    finally:
        process.kill()
        api_cluster.kubectl("delete", "namespace", process.home, "--wait=false")


def test_an_operator_that_does_not_get_to_anything_does_not_answer_its_probes(team: Team) -> None:
    process = team.operator.process
    assert process is not None
    assert team.operator.get("/healthz")[0] == 200
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(httpx.ReadTimeout):
            team.operator.get("/healthz")
    finally:
        process.send_signal(signal.SIGCONT)

    def answers() -> None:
        assert team.operator.get("/healthz")[0] == 200

    eventually(answers, timeout=30)
