"""The conditions, from snapshots: what on-call reads for each state of the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from productionservice.api import parse
from productionservice.effective import compute_effective
from productionservice.errors import InvalidSpec, NotOwned, OperatorError, Rejected, Transient
from productionservice.live import Live
from productionservice.plan import Action, Applied, Change, Ref, Result
from productionservice.status import compute_status, invalid_status
from productionservice.status.pods import PodState

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SERVICE = parse(
    {
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "u1", "generation": 7},
        "spec": {"image": {"repository": "shop/catalog", "tag": "v2"}, "replicas": {"min": 3}},
    }
)
EFFECTIVE = compute_effective(SERVICE.spec)
REF = Ref("Deployment", "catalog")
POD = PodState(
    name="catalog-new-1", created="2026-11-25T11:59:00Z", template_hash="new", image="shop/catalog:v2",
    image_id="shop/catalog@sha256:2", ready=False, deleting=False, restarts=0,
)  # fmt: skip
LOST = replace(POD, lost_node="n3")
PULLING = replace(POD, waiting_reason="ErrImagePull", waiting_message="not found")


def deployment(*, desired: int = 3, observed: int = 2, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "catalog", "generation": 2},
        "spec": {"replicas": desired},
        "status": {"observedGeneration": observed, **status},
    }


COMPLETE: dict[str, Any] = {
    "conditions": [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": ""}
    ]
}
STEADY: dict[str, Any] = {
    **COMPLETE, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
}  # fmt: skip
ROLLING: dict[str, Any] = {"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3}


def result(live: dict[str, Any] | None, error: OperatorError | None = None) -> Result:
    change = Change(action=Action.UNCHANGED, ref=REF, manifest={"kind": "Deployment"})
    return Result(change=change, live=Live.of("Deployment", live) if live else None, error=error)


def status(
    live: dict[str, Any] | None,
    pods: Sequence[PodState] = (),
    *,
    error: OperatorError | None = None,
    previous: dict[str, Any] | None = None,
    now: datetime = NOW,
) -> dict[str, Any]:
    return compute_status(
        service=SERVICE, effective=EFFECTIVE, applied=Applied((result(live, error),)), pods=pods,
        previous=previous or {}, now=now,
    )  # fmt: skip


def summary(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in found["conditions"]}


def test_ready_comes_first_and_is_true_when_all_are() -> None:
    found = status(deployment(**STEADY), [replace(POD, ready=True)])

    assert [c["type"] for c in found["conditions"]] == [
        "Ready",
        "Accepted",
        "Applied",
        "Available",
        "RolledOut",
    ]
    assert summary(found)["Ready"] == ("True", "Ready")
    assert found["observedGeneration"] == 7
    assert {c["observedGeneration"] for c in found["conditions"]} == {7}
    assert found["replicas"] == {"desired": 3, "updated": 3, "ready": 3, "available": 3}
    assert found["image"] == {"wanted": "shop/catalog:v2", "running": ["shop/catalog@sha256:2"]}
    assert found["url"] == "http://catalog.shop.svc"


@pytest.mark.parametrize(
    ("live", "pods", "ready", "available", "rolled_out"),
    [
        (None, [], ("Unknown", "Starting"), ("Unknown", "Starting"), ("Unknown", "RollingOut")),
        (
            deployment(replicas=3, updatedReplicas=3), [POD],
            ("Unknown", "Starting"), ("Unknown", "Starting"), ("Unknown", "RollingOut"),
        ),
        (
            deployment(**{**STEADY, "availableReplicas": 2}), [LOST],
            ("True", "Ready"), ("True", "Available"), ("True", "RolledOut"),
        ),
        (
            deployment(**{**STEADY, "availableReplicas": 1}), [LOST],
            ("False", "NodeLost"), ("False", "NodeLost"), ("True", "RolledOut"),
        ),
        (
            deployment(observed=1, **STEADY), [],
            ("Unknown", "RollingOut"), ("True", "Available"), ("Unknown", "RollingOut"),
        ),
        (
            deployment(**ROLLING), [POD],
            ("Unknown", "RollingOut"), ("True", "Available"), ("Unknown", "RollingOut"),
        ),
        (
            deployment(**ROLLING), [PULLING],
            ("False", "ImagePullFailed"), ("True", "Available"), ("False", "ImagePullFailed"),
        ),
        (
            deployment(
                **ROLLING,
                conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                             "message": "timed out"}],
            ), [POD],
            ("False", "ProgressDeadlineExceeded"), ("True", "Available"),
            ("False", "ProgressDeadlineExceeded"),
        ),
        (
            deployment(
                conditions=[{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                             "message": "pods is forbidden: exceeded quota: small"}],
            ), [],
            ("False", "QuotaExceeded"), ("False", "QuotaExceeded"), ("False", "QuotaExceeded"),
        ),
        (  # scaling up is no rollout, and enough pods serve meanwhile
            deployment(
                desired=6, replicas=6, updatedReplicas=6, readyReplicas=3, availableReplicas=3, **COMPLETE
            ), [POD],
            ("True", "Ready"), ("True", "Available"), ("True", "RolledOut"),
        ),
        (  # one of three crashes for good: enough serve, but somebody has to look
            deployment(replicas=3, updatedReplicas=3, readyReplicas=2, availableReplicas=2, **COMPLETE),
            [replace(POD, waiting_reason="CrashLoopBackOff", exit_code=1)],
            ("False", "CrashLoop"), ("False", "CrashLoop"), ("True", "RolledOut"),
        ),
    ],
)  # fmt: skip
def test_each_state_of_the_world(
    live: dict[str, Any] | None,
    pods: list[PodState],
    ready: tuple[str, str],
    available: tuple[str, str],
    rolled_out: tuple[str, str],
) -> None:
    found = summary(status(live, pods))

    assert (found["Ready"], found["Available"], found["RolledOut"]) == (ready, available, rolled_out)


def test_a_failed_rollout_says_what_keeps_serving() -> None:
    conditions = {c["type"]: c for c in status(deployment(**ROLLING), [PULLING])["conditions"]}

    assert (
        "1 of 3 pods run v2, 3 of an older version keep serving: pod catalog-new-1"
        in (conditions["Ready"]["message"])
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotOwned("Service catalog exists and was not made by the operator"), ("False", "NotOwned")),
        (Rejected("denied", status=422), ("False", "Rejected")),
        (Transient("time-out"), ("Unknown", "ApplyFailed")),
    ],
)
def test_a_failed_write_is_told_apart_by_who_can_help(
    error: OperatorError, expected: tuple[str, str]
) -> None:
    found = status(deployment(**STEADY), error=error)

    assert summary(found)["Applied"] == expected
    assert summary(found)["Ready"] == expected
    assert str(error) in found["conditions"][0]["message"]
    assert found["children"] == [{"kind": "Deployment", "name": "catalog", "ready": False}]


def test_transition_time_moves_only_with_the_status() -> None:
    first = status(deployment(**STEADY))
    later = NOW + timedelta(hours=1)

    unchanged = status(deployment(**STEADY), previous=first, now=later)
    changed = status(deployment(**ROLLING), [POD], previous=first, now=later)

    assert unchanged == first
    times = {c["type"]: c["lastTransitionTime"] for c in changed["conditions"]}
    assert times["Ready"] == times["RolledOut"] == "2026-11-25T13:00:00Z"
    assert times["Available"] == times["Accepted"] == "2026-11-25T12:00:00Z"


def test_an_unreadable_spec_keeps_what_was_known_of_the_children() -> None:
    before = status(deployment(**STEADY))

    found = invalid_status(
        generation=8, error=InvalidSpec(["spec.image: Field required"]), previous=before, now=NOW
    )

    assert summary(found) == {"Ready": ("False", "InvalidSpec"), "Accepted": ("False", "InvalidSpec")}
    assert found["observedGeneration"] == 8
    assert found["children"] == before["children"]
    assert "spec.image: Field required" in found["conditions"][0]["message"]
