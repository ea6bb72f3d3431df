"""What is read out of a pod, and which trouble speaks first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from productionservice.status.pods import PodState, find_trouble, newest_template, pod_state
from productionservice.status.reasons import Reason

FINE = PodState(
    name="catalog-1", created="2026-11-25T03:00:00Z", template_hash="aaa", image="shop/catalog:v1",
    image_id="sha256:1", ready=True, deleting=False, restarts=0,
)  # fmt: skip
NOT_READY = replace(FINE, ready=False)


def body(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "catalog-1", "creationTimestamp": "2026-11-25T03:00:00Z", "labels": {}},
        "spec": {"nodeName": "n3", "containers": [{"name": "service", "image": "shop/catalog:v1"}]},
        "status": status,
    }


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "service", "restartCount": 2, **state}]}


def test_a_pod_that_nobody_looked_at_yet_is_just_not_ready() -> None:
    state = pod_state(body())

    assert (state.ready, state.deleting, state.restarts) == (False, False, 0)
    assert find_trouble([state]) is None


@pytest.mark.parametrize(
    ("status", "reason", "fragment"),
    [
        (
            {"conditions": [{"type": "Ready", "status": "False"}], **container(ready=True)},
            Reason.NODE_LOST,
            "its node n3 does not answer",
        ),
        (
            container(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            Reason.IMAGE_PULL_FAILED,
            "image shop/catalog:v1 cannot be pulled: check spec.image",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                lastState={"terminated": {"exitCode": 3, "reason": "Error"}},
            ),
            Reason.CRASH_LOOP,
            "exits with code 3 (Error)",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            Reason.OUT_OF_MEMORY,
            "raise spec.resources.limits.memory",
        ),
        (
            container(
                state={
                    "waiting": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
                }
            ),
            Reason.CONFIG_MISSING,
            'secret "db" not found',
        ),
        (
            container(state={"waiting": {"reason": "RunContainerError", "message": "no such file"}}),
            Reason.CONTAINER_START_FAILED,
            "no such file",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."}
                ]
            },
            Reason.UNSCHEDULABLE,
            "Insufficient cpu",
        ),
    ],
)
def test_each_cause_is_named_with_the_pod(status: dict[str, Any], reason: Reason, fragment: str) -> None:
    trouble = find_trouble([pod_state(body(**status))])

    assert trouble is not None
    assert trouble.reason is reason
    assert "pod catalog-1" in trouble.message
    assert fragment in trouble.message


def test_a_failed_pull_reads_the_same_in_both_of_its_alternating_states() -> None:
    cause = 'failed to pull "shop/catalog:v1": not found'
    first = replace(NOT_READY, waiting_reason="ErrImagePull", waiting_message=cause)
    then = replace(
        NOT_READY,
        waiting_reason="ImagePullBackOff",
        waiting_message=f"Back-off pulling image: ErrImagePull: {cause}",
    )

    assert find_trouble([first]) == find_trouble([then])


def test_a_failed_pull_reads_the_same_whatever_socket_it_used() -> None:
    def trouble(port: int) -> object:
        cause = f"lookup registry on 10.0.0.1:53: read udp 10.0.0.9:{port}->10.0.0.1:53: connection refused"
        return find_trouble([replace(NOT_READY, waiting_reason="ErrImagePull", waiting_message=cause)])

    assert trouble(40001) == trouble(40002)


def test_ready_and_leaving_pods_are_no_trouble() -> None:
    crashed_before = replace(FINE, exit_code=1, restarts=5)
    leaving = replace(NOT_READY, deleting=True, waiting_reason="CrashLoopBackOff")

    assert find_trouble([crashed_before, leaving]) is None


def test_the_same_pod_speaks_whatever_the_order() -> None:
    pods = [
        replace(NOT_READY, name=name, waiting_reason="CrashLoopBackOff", exit_code=1)
        for name in ("c", "a", "b")
    ]

    assert find_trouble(pods) == find_trouble(pods[::-1])
    trouble = find_trouble(pods)
    assert trouble is not None
    assert "pod a" in trouble.message


def test_newest_template_is_that_of_the_pod_created_last() -> None:
    old = replace(FINE, name="old")
    new = replace(FINE, name="new", template_hash="bbb", created="2026-11-25T04:00:00Z")
    leaving = replace(new, name="leaving", template_hash="ccc", created="2026-11-25T05:00:00Z", deleting=True)

    assert newest_template([old, new, leaving]) == [new]
    assert newest_template([]) == []
