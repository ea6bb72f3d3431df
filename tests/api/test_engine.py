"""The operator at work on a real API server with real controllers: what it writes, and that it writes nothing else.

Pods never run here (no node), so services stay at Starting. Writes are counted in the API server's audit log.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.audit import AuditLog
from e2e.eventually import eventually
from productionservice import labels
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team

pytestmark = pytest.mark.api

KINDS = ("serviceaccount", "networkpolicy", "service", "deployment", "poddisruptionbudget")
AUTOSCALED: dict[str, Any] = {"replicas": {"min": 2, "max": 10}}


def test_children_come_and_a_second_look_writes_nothing(team: Team) -> None:
    team.apply()
    team.converged()
    for kind in KINDS:
        owner = team.get(kind)["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("ProductionService", "catalog", True)
    assert team.get("deployment")["spec"]["replicas"] == 3
    team.settled()

    log = AuditLog(team.cluster.audit_log)
    # An edit of what does not concern the operator makes it look; the repair shows that it has looked.
    team.kubectl("annotate", "psvc", "catalog", "example/note=hello")
    team.repair()
    assert team.writes(log) == ["patch services catalog"]


def test_a_restart_writes_nothing(team: Team) -> None:
    team.apply(**AUTOSCALED)
    team.converged()
    team.settled()

    log = AuditLog(team.cluster.audit_log)
    team.operator.restart()
    team.repair()
    assert team.writes(log) == ["patch services catalog"]


def test_what_a_deletion_that_orphans_leaves_stays(team: Team) -> None:
    names = [f"orphan-{number}" for number in range(4)]
    for name in names:
        team.apply(name)
    for name in names:
        team.converged(name)
    before = {(kind, name): team.get(kind, name)["metadata"]["uid"] for kind in KINDS for name in names}
    # Whether its children are heard of before the service is chance: it is taken four times.
    team.kubectl("delete", "psvc", *names, "--cascade=orphan", "--timeout=90s")

    # Once another service's children have been collected, the collector has seen these as well.
    team.apply()
    team.converged()
    team.kubectl("delete", "psvc", "catalog")
    eventually(lambda: not_there(team, "deployment"), timeout=90)
    after = {(kind, name): team.get(kind, name)["metadata"] for kind, name in before}
    assert {of: metadata["uid"] for of, metadata in after.items()} == before
    assert [of for of, metadata in after.items() if "ownerReferences" in metadata] == []


def not_there(team: Team, kind: str) -> None:
    assert not team.exists(kind)


def test_deleted_children_come_back(team: Team) -> None:
    team.apply(**AUTOSCALED)
    team.converged()
    before = {kind: team.get(kind)["metadata"]["uid"] for kind in (*KINDS, "horizontalpodautoscaler")}
    for kind in before:
        team.kubectl("delete", kind, "catalog")

    def check() -> None:
        for kind, uid in before.items():
            assert team.get(kind)["metadata"]["uid"] != uid
        assert team.condition("Applied")["status"] == "True"

    eventually(check, timeout=30)


@pytest.mark.parametrize(
    ("kind", "patch", "path"),
    [
        ("service", {"spec": {"selector": {"app": "mine"}}}, ("spec", "selector")),
        ("deployment", {"spec": {"progressDeadlineSeconds": 500}}, ("spec", "progressDeadlineSeconds")),
        ("deployment", {"spec": {"replicas": 1}}, ("spec", "replicas")),
        ("networkpolicy", {"spec": {"egress": [{}]}}, ("spec", "egress")),
        ("poddisruptionbudget", {"spec": {"maxUnavailable": 3}}, ("spec", "maxUnavailable")),
        ("serviceaccount", {"automountServiceAccountToken": True}, ("automountServiceAccountToken",)),
        (
            "service",
            {"metadata": {"labels": {labels.COMPONENT: None}}},
            ("metadata", "labels", labels.COMPONENT),
        ),
        ("service", {"metadata": {"labels": {labels.SERVICE: None}}}, ("metadata", "labels", labels.SERVICE)),
        ("service", {"metadata": {"ownerReferences": None}}, ("metadata", "ownerReferences")),
    ],
)
def test_a_hand_edit_is_reverted(team: Team, kind: str, patch: dict[str, Any], path: tuple[str, ...]) -> None:
    def value() -> Any:
        found: Any = team.get(kind)
        for part in path:
            found = found[part]
        return found

    team.apply()
    team.converged()
    before = value()
    team.kubectl("patch", kind, "catalog", "--type=merge", "-p", json.dumps(patch))

    def check() -> None:
        assert value() == before

    eventually(check, timeout=30)


def test_another_owners_object_is_not_touched_and_said_so(team: Team) -> None:
    theirs = {"name": "catalog", "labels": {"team": "x"}}
    team.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": theirs})
    before = team.get("serviceaccount")
    team.apply()

    def said() -> None:
        applied = team.condition("Applied")
        assert (applied["status"], applied["reason"]) == ("False", "NotOwned")
        assert "ServiceAccount catalog" in applied["message"]

    eventually(said, timeout=30)
    assert team.exists("deployment"), "one child in the way does not keep the others back"
    assert team.get("serviceaccount") == before

    team.kubectl("delete", "serviceaccount", "catalog")
    # No event tells about other people's objects: it is looked at again every 30 s.
    team.converged(timeout=45)


def test_the_number_of_pods_never_drops_while_it_changes_hands(team: Team) -> None:
    team.apply(replicas={"min": 4})
    team.converged()
    seen = team.folder / "replicas"
    with (
        seen.open("wb") as output,
        subprocess.Popen(
            [
                str(team.cluster.kubectl_path), f"--kubeconfig={team.cluster.kubeconfig_path}", "-n", team.namespace,
                "get", "deployment", "catalog", "--watch", "-o", 'jsonpath={.spec.replicas}{"\\n"}',
            ],
            stdout=output,
        ) as watch,
    ):  # fmt: skip
        try:
            team.apply(**AUTOSCALED)
            team.converged()
            assert team.exists("horizontalpodautoscaler")
            assert team.get("deployment")["spec"]["replicas"] == 4
            team.kubectl("scale", "deployment", "catalog", "--replicas=7")  # what an autoscaler does
            team.repair()
            assert team.get("deployment")["spec"]["replicas"] == 7
            team.apply(replicas={"min": 8})
            team.converged()
            assert team.get("deployment")["spec"]["replicas"] == 8

            def watched() -> None:
                assert seen.read_text().split()[-1] == "8"

            eventually(watched)
        finally:
            watch.terminate()
    counts = [int(count) for count in seen.read_text().split()]
    assert counts == sorted(counts)


def test_what_is_no_longer_wanted_is_removed(team: Team) -> None:
    team.apply(**AUTOSCALED)
    team.converged()
    assert team.exists("horizontalpodautoscaler")
    team.apply()

    def gone() -> None:
        assert not team.exists("horizontalpodautoscaler")

    eventually(gone, timeout=30)
    team.converged()


def test_nothing_is_removed_while_a_wanted_child_cannot_be_made(team: Team) -> None:
    team.apply(**AUTOSCALED)
    team.converged()
    team.kubectl("create", "configmap", "thief")
    uid = team.get("configmap", "thief")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "thief", "uid": uid, "controller": True}
    patch = {"metadata": {"ownerReferences": [owner]}}
    team.kubectl("patch", "poddisruptionbudget", "catalog", "--type=merge", "-p", json.dumps(patch))
    team.apply()

    def said() -> None:
        service = team.get("psvc")
        assert service["status"]["observedGeneration"] == service["metadata"]["generation"]
        assert (
            "PodDisruptionBudget catalog belongs to ConfigMap thief" in team.condition("Applied")["message"]
        )

    eventually(said, timeout=30)
    assert team.exists("horizontalpodautoscaler")

    team.kubectl("delete", "configmap", "thief")  # the garbage collector takes the stolen object along
    team.converged()
    assert not team.exists("horizontalpodautoscaler")


def test_a_deleted_service_takes_its_children_along(team: Team) -> None:
    team.apply()
    team.converged()
    team.kubectl("delete", "psvc", "catalog", "--timeout=10s")

    def gone() -> None:
        assert [kind for kind in KINDS if team.exists(kind)] == []

    eventually(gone, timeout=60)


def test_transitions_are_told_as_events(team: Team) -> None:
    team.apply()
    team.converged()

    def told() -> None:
        events = json.loads(team.kubectl("get", "events", "-o", "json"))["items"]
        ours = [e for e in events if e["source"].get("component") == labels.FIELD_MANAGER]
        # Without nodes that is where it ends; what it was in between depends on who was faster.
        assert {"Created", "Unschedulable"} <= {e["reason"] for e in ours}
        assert {e["involvedObject"]["kind"] for e in ours} == {"ProductionService"}

    eventually(told, timeout=30)


def test_metrics_health_and_an_exit_that_hands_over_at_once(team: Team) -> None:
    operator = team.operator
    team.apply()
    team.converged()

    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.metric('leader_election_master_status{name="productionservice-operator"}') == 1
    assert (
        operator.metric('controller_runtime_reconcile_total{controller="productionservice",result="success"}')
        > 0
    )
    assert operator.metric('controller_runtime_reconcile_panics_total{controller="productionservice"}') == 0
    assert operator.stop() == 0
    lease = json.loads(
        team.cluster.kubectl("-n", operator.home, "get", "lease", labels.FIELD_MANAGER, "-o", "json")
    )
    assert lease["spec"]["holderIdentity"] == ""
    operator.start()


def test_a_standby_is_warm_and_takes_over(team: Team, tmp_path: Path) -> None:
    leader = team.operator
    standby = OperatorProcess(team.cluster, leader.home, tmp_path)
    standby.folder.joinpath("kubeconfig").write_text((leader.folder / "kubeconfig").read_text())
    standby.start()
    try:
        gauge = 'leader_election_master_status{name="productionservice-operator"}'
        assert (leader.metric(gauge), standby.metric(gauge)) == (1, 0)
        team.apply()
        team.converged()
        leader.kill()

        def leads() -> None:
            assert standby.metric(gauge) == 1

        eventually(leads, timeout=25)
        team.repair()
    finally:
        assert standby.stop() == 0
        leader.start()


def test_a_service_made_and_changed_while_nobody_looked_is_caught_up_with(team: Team) -> None:
    team.apply()
    team.converged()
    assert team.operator.stop() == 0
    team.apply(port=8080)
    team.apply("second")
    team.kubectl("delete", "service", "catalog")
    team.operator.start()
    team.converged()
    team.converged("second")

    assert team.exists("service")
    assert (
        team.get("deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
        == 8080
    )


def test_a_replica_that_loses_its_lease_stops_at_once_and_says_so(team: Team) -> None:
    operator = team.operator
    patch = '{"spec":{"holderIdentity":"thief"}}'
    team.cluster.kubectl(
        "-n", operator.home, "patch", "lease", labels.FIELD_MANAGER, "--type=merge", "-p", patch
    )
    assert operator.process is not None
    try:
        assert operator.process.wait(15) == 1
        assert "the Lease is lost" in operator.log.read_text()
    finally:
        team.cluster.kubectl("-n", operator.home, "delete", "lease", labels.FIELD_MANAGER)
        operator.kill()
        operator.start()


def test_an_operator_of_one_namespace_leaves_the_others_alone(team: Team, tmp_path: Path) -> None:
    assert team.operator.stop() == 0
    confined = OperatorProcess(team.cluster, team.operator.home, tmp_path, {"NAMESPACES": team.namespace})
    confined.folder.joinpath("kubeconfig").write_text((team.operator.folder / "kubeconfig").read_text())
    confined.start()
    try:
        other = Team(team.cluster, confined, "default", tmp_path)
        name = f"other-{team.namespace}"
        other.apply(name)
        team.apply()
        team.converged()
        assert not other.exists("deployment", name)
        other.kubectl("delete", "psvc", name)
    finally:
        assert confined.stop() == 0
        team.operator.start()
