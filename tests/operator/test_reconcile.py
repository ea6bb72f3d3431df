"""The path of one pass, and what happens when a step of it fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from productionservice import labels
from productionservice.children import BuildContext
from productionservice.engine.answers import Conflict, NotFound
from productionservice.engine.caches import Caches
from productionservice.engine.client import Client
from productionservice.engine.events import Note, Recorder
from productionservice.errors import NotOwned, OperatorError, Rejected, Transient, Waiting
from productionservice.plan import Action, Applied, Change, Ref, Result
from productionservice.reconcile import Reconciler, next_look
from tests.operator.engine.cluster_in_memory import ClusterInMemory
from tests.support.builders import IMAGE, UID

KEY = ("shop", "catalog")
CREATES = [
    f"create {kind} catalog"
    for kind in (
        "ServiceAccount",
        "NetworkPolicy",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "ServiceMonitor",
    )
]
STATUS = "apply status catalog"


class Pass:
    """One service, its world, and passes over it."""

    def __init__(self, context: BuildContext | None = None) -> None:
        self.cluster, self.caches, self.told = ClusterInMemory(), Caches(), list[Note]()
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.reconcile = Reconciler(
            cast("Client", self.cluster), self.caches, cast("Recorder", self), context or BuildContext(),
            now=lambda: self.now,
        )  # fmt: skip
        self.edit()

    def tell(self, note: Note) -> None:
        self.told.append(note)

    def edit(self, **spec: Any) -> None:
        """Somebody applies another spec."""
        old = self.service() or {"metadata": {"generation": 0}}
        generation = old["metadata"]["generation"] + 1
        body = {
            "apiVersion": "productionservice.io/v1alpha1",
            "kind": "ProductionService",
            "metadata": {"name": "catalog", "namespace": "shop", "generation": generation},
            "spec": {"image": IMAGE, **spec},
            "status": old.get("status", {}),
        }
        self.caches.parents.put(self.cluster.store("status", body, uid=UID))

    def service(self) -> dict[str, Any]:
        parent = self.caches.parents.get(KEY)
        return parent.body if parent else {}

    def condition(self, kind: str) -> dict[str, Any]:
        status = self.service()["status"]
        found: dict[str, Any] = next(c for c in status["conditions"] if c["type"] == kind)
        return found


@pytest.fixture
def world() -> Pass:
    return Pass()


async def test_a_new_service_gets_its_children_in_order_then_one_status(world: Pass) -> None:
    assert await world.reconcile(KEY) is None

    # The number of pods has a field manager, and so a write, of its own.
    assert world.cluster.writes() == [*CREATES[:4], "apply Deployment catalog", *CREATES[4:], STATUS]
    assert [note.reason for note in world.told] == ["Created", "Configured", "Starting"]
    assert world.condition("Applied")["status"] == "True"


async def test_a_second_pass_makes_no_call_even_while_informers_lag(world: Pass) -> None:
    await world.reconcile(KEY)
    world.cluster.writes()
    world.told.clear()
    await world.reconcile(KEY)

    assert world.cluster.calls == []
    assert world.told == []


async def test_after_a_restart_a_pass_makes_no_call(world: Pass) -> None:
    await world.reconcile(KEY)
    restarted = Pass()
    restarted.cluster = world.cluster
    world.cluster.show(restarted.caches)
    restarted.caches.parents.put(world.service())
    world.cluster.writes()
    await restarted.reconcile(KEY)

    assert restarted.cluster.writes() == []


@pytest.mark.parametrize("leaves", ["is being deleted", "is gone", "another of its name is there"])
async def test_children_that_lose_their_owner_before_we_hear_of_its_end_are_left(
    world: Pass, leaves: str
) -> None:
    await world.reconcile(KEY)
    for (kind, _), body in world.cluster.objects.items():
        if kind != "status":
            body["metadata"].pop("ownerReferences")
            world.cluster.store(kind, body, uid=body["metadata"]["uid"])
    world.cluster.show(world.caches)
    world.cluster.writes()
    service = world.cluster.objects["status", "catalog"]["metadata"]
    if leaves == "is gone":
        del world.cluster.objects["status", "catalog"]
    elif leaves == "is being deleted":
        service["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    else:
        service["uid"] = "another"

    with pytest.raises(Transient, match="catalog is being deleted"):
        await world.reconcile(KEY)
    assert world.cluster.writes() == []


async def test_a_child_whose_owner_somebody_takes_away_gets_it_back(world: Pass) -> None:
    await world.reconcile(KEY)
    body = world.cluster.objects["Service", "catalog"]
    body["metadata"].pop("ownerReferences")
    world.cluster.store("Service", body, uid=body["metadata"]["uid"])
    world.cluster.show(world.caches)
    world.cluster.writes()
    await world.reconcile(KEY)

    assert "apply Service catalog" in world.cluster.writes()


async def test_what_is_no_longer_wanted_goes_last(world: Pass) -> None:
    world.edit(replicas={"min": 2, "max": 4})
    await world.reconcile(KEY)
    world.cluster.writes()
    world.edit(replicas={"min": 4})
    await world.reconcile(KEY)

    assert world.cluster.writes()[-2:] == ["delete HorizontalPodAutoscaler catalog", STATUS]
    await world.reconcile(KEY)
    assert "delete HorizontalPodAutoscaler catalog" not in world.cluster.writes()


async def test_a_refused_child_keeps_nothing_back_but_deletions(world: Pass) -> None:
    world.edit(replicas={"min": 2, "max": 4})
    await world.reconcile(KEY)
    world.cluster.writes()
    world.cluster.fails["apply Service catalog"] = Rejected("denied by policy", status=403)
    world.cluster.fails["merge Service catalog"] = Rejected("denied by policy", status=403)
    del world.cluster.objects["PodDisruptionBudget", "catalog"]
    world.caches.children["PodDisruptionBudget"].discard(KEY, before=10**9)
    body = world.cluster.objects["Service", "catalog"]
    world.cluster.store("Service", {**body, "spec": {**body["spec"], "selector": {}}}, uid="uid-Service")
    world.cluster.show(world.caches)
    world.edit(replicas={"min": 4})

    assert await world.reconcile(KEY) == 30
    writes = world.cluster.writes()
    assert "create PodDisruptionBudget catalog" in writes
    assert "delete HorizontalPodAutoscaler catalog" not in writes
    assert (world.condition("Applied")["reason"], world.condition("Applied")["status"]) == (
        "Rejected",
        "False",
    )


async def test_an_apply_that_others_entries_make_impossible_is_mended(world: Pass) -> None:
    await world.reconcile(KEY)
    world.cluster.writes()
    body = world.cluster.objects["Service", "catalog"]
    (port,) = body["spec"]["ports"]
    world.cluster.store(
        "Service", {**body, "spec": {**body["spec"], "ports": [{**port, "port": 8080}]}}, uid="uid-Service"
    )
    world.cluster.show(world.caches)
    world.cluster.fails["apply Service catalog"] = Rejected("ports[1].name: duplicate", status=422)

    await world.reconcile(KEY)

    assert [write for write in world.cluster.writes() if "Service catalog" in write] == [
        "apply Service catalog",
        "merge Service catalog",
        "merge Service catalog",
        "apply Service catalog",
    ]
    assert world.cluster.objects["Service", "catalog"]["spec"]["ports"] == [port]
    assert world.condition("Applied")["status"] == "True"


async def test_a_failed_deployment_gets_no_number_of_pods(world: Pass) -> None:
    world.cluster.fails["create Deployment catalog"] = Transient("no answer in time")
    with pytest.raises(Transient):
        await world.reconcile(KEY)

    writes = world.cluster.writes()
    assert "apply Deployment catalog" not in writes
    assert writes[-1] == STATUS, "the status is written before the pass is tried again"
    assert world.condition("Applied")["reason"] == "ApplyFailed"
    await world.reconcile(KEY)
    assert world.condition("Applied")["status"] == "True"


async def test_a_lost_answer_to_a_create_is_found_out(world: Pass) -> None:
    call = "create Service catalog"
    world.cluster.fails[call] = Transient("connection reset")
    world.cluster.lost.add(call)
    with pytest.raises(Transient):
        await world.reconcile(KEY)
    world.cluster.lost.clear()
    world.cluster.calls.clear()

    assert await world.reconcile(KEY) is None
    assert world.cluster.calls == [call, "get Service catalog", STATUS]


async def test_a_foreign_object_is_left_alone_and_looked_at_again(world: Pass) -> None:
    theirs = world.cluster.store(
        "Service", {"metadata": {"name": "catalog", "namespace": "shop"}}, uid="theirs"
    )

    assert await world.reconcile(KEY) == 30
    assert world.cluster.objects["Service", "catalog"] == theirs
    assert world.condition("Applied")["reason"] == "NotOwned"
    assert "Service catalog" in world.condition("Applied")["message"]


async def test_our_object_without_its_label_is_taken_back_though_no_informer_sees_it(world: Pass) -> None:
    await world.reconcile(KEY)
    body = world.cluster.objects["Service", "catalog"]
    del body["metadata"]["labels"]
    world.caches.children["Service"].discard(KEY, before=10**9)
    world.cluster.writes()

    assert await world.reconcile(KEY) is None
    assert world.cluster.writes()[:2] == ["create Service catalog", "apply Service catalog"]
    assert "labels" in world.cluster.objects["Service", "catalog"]["metadata"]


async def test_a_spec_that_cannot_be_read_touches_no_child(world: Pass) -> None:
    await world.reconcile(KEY)
    world.cluster.writes()
    world.edit(image={"repository": "x"}, shutdown={"drainSeconds": 10_000})

    assert await world.reconcile(KEY) is None
    assert world.cluster.writes() == [STATUS]
    assert (world.condition("Accepted")["status"], world.condition("Accepted")["reason"]) == (
        "False",
        "InvalidSpec",
    )


async def test_a_service_that_is_gone_is_forgotten(world: Pass) -> None:
    world.cluster.fails[STATUS] = NotFound("no such service")

    assert await world.reconcile(KEY) is None
    assert world.caches.parents.get(KEY) is None
    world.cluster.writes()
    assert await world.reconcile(KEY) is None
    assert world.cluster.calls == []


async def test_a_status_for_an_older_spec_is_not_written_over_a_newer_one(world: Pass) -> None:
    world.cluster.fails[STATUS] = Conflict("the object has been modified")

    with pytest.raises(Conflict):
        await world.reconcile(KEY)
    assert world.told == []


async def test_a_service_on_its_way_out_is_left_to_the_garbage_collector(world: Pass) -> None:
    body = world.service()
    leaving = {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "999999"}
    world.caches.parents.put({**body, "metadata": leaving})

    assert await world.reconcile(KEY) is None
    assert world.cluster.calls == []


async def test_a_paused_service_keeps_its_children_until_the_pause_ends(world: Pass) -> None:
    await world.reconcile(KEY)
    world.cluster.writes()
    body = world.service()
    body["metadata"]["annotations"] = {labels.PAUSED: "until=2026-01-02T03:05:05Z; by=alice; why=incident"}
    body["spec"]["port"] = 8080
    world.caches.parents.put(world.cluster.store("status", body, uid=UID))

    assert await world.reconcile(KEY) == 60
    assert world.cluster.writes() == [STATUS]
    assert world.condition("Paused")["message"] == "until 2026-01-02T03:05:05Z by alice: incident"
    assert (world.condition("Applied")["status"], world.condition("Applied")["reason"]) == (
        "Unknown",
        "Paused",
    )

    world.now += timedelta(minutes=1)
    assert await world.reconcile(KEY) is None
    assert "apply Deployment catalog" in world.cluster.writes()
    assert world.condition("Paused")["reason"] == "PauseEnded"


async def test_a_child_of_a_kind_that_may_not_be_listed_keeps_nothing_else_back(world: Pass) -> None:
    world.caches.serve("PodDisruptionBudget", None, Rejected("forbidden", status=403))

    assert await world.reconcile(KEY) is None
    assert world.cluster.writes() == [*CREATES[:4], "apply Deployment catalog", CREATES[5], STATUS]
    assert world.condition("Applied")["reason"] == "Forbidden"
    assert "poddisruptionbudgets.policy" in world.condition("Applied")["message"]

    world.caches.serve("PodDisruptionBudget", None, None)
    await world.reconcile(KEY)
    assert world.condition("Applied")["status"] == "True"


@pytest.mark.parametrize(("monitor", "ready"), [("Auto", "Starting"), ("Required", "CRDNotInstalled")])
async def test_an_optional_kind_that_is_absent_has_its_own_condition(
    world: Pass, monitor: str, ready: str
) -> None:
    world.caches.serve("ServiceMonitor", None, NotFound("404"))
    world.edit(observability={"metrics": {"monitor": monitor}}, replicas={"min": 2, "max": 4})
    await world.reconcile(KEY)

    assert world.condition("Applied")["status"] == "True"
    assert world.condition("MonitoringReady")["reason"] == "CRDNotInstalled"
    assert "servicemonitors.monitoring.coreos.com" in world.condition("MonitoringReady")["message"]
    assert world.condition("Ready")["reason"] == ready

    world.edit(observability={"metrics": {"monitor": monitor}}, replicas={"min": 2})
    await world.reconcile(KEY)
    assert "delete HorizontalPodAutoscaler catalog" in world.cluster.writes(), "it keeps no deletion back"


@pytest.mark.parametrize(
    ("errors", "seconds"),
    [
        ([], None),
        ([NotOwned("theirs")], 30),
        ([Waiting("leaving", seconds=5), Rejected("no", status=422)], 5),
    ],
)
def test_when_to_look_again(errors: list[OperatorError], seconds: float | None) -> None:
    assert next_look(applied(errors)) == seconds


def test_a_transient_failure_goes_before_all_others() -> None:
    with pytest.raises(Transient, match="busy") as raised:
        next_look(
            applied([NotOwned("theirs"), Transient("busy", retry_after=3), Transient("busy", retry_after=8)])
        )

    assert raised.value.retry_after == 8


def applied(errors: list[OperatorError]) -> Applied:
    change = Change(Action.CREATED, Ref("Service", "catalog"), {})
    return Applied(tuple(Result(change, None, error) for error in errors))
