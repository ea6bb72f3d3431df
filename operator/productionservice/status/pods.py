"""What status needs to know of a pod, and what went wrong with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from productionservice.status.reasons import Reason

_PULL_FAILURES = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
})  # fmt: skip
_SOCKETS = re.compile(r"\b(read|write) (udp|tcp) \S+->\S+ ")
_START_FAILURES = frozenset({"RunContainerError", "CreateContainerError", "StartError", "PostStartHookError"})


@dataclass(frozen=True, slots=True)
class PodState:
    """The small projection of a pod that informers keep. Times are RFC 3339 text as the server writes it.

    Texts that the pods of a service share are interned: one copy of each.
    """

    name: str
    created: str
    template_hash: str
    image: str
    image_id: str
    ready: bool
    deleting: bool
    restarts: int
    waiting_reason: str = ""
    waiting_message: str = ""
    exit_reason: str = ""
    """Reason of the last exit, for example `OOMKilled` or `Error`; empty when it never exited."""
    exit_code: int | None = None
    unschedulable: str = ""
    """The scheduler's message while no node takes the pod."""
    lost_node: str = ""
    """The node, once it no longer answers for this pod."""


@dataclass(frozen=True)
class Trouble:
    """One cause that needs somebody."""

    reason: Reason
    message: str


def pod_state(body: Mapping[str, Any]) -> PodState:
    """Project the JSON form of a pod. The serving container is the first one."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    container = (spec.get("containers") or [{}])[0]
    running: Mapping[str, Any] = next(
        (c for c in status.get("containerStatuses") or [] if c.get("name") == container.get("name")), {}
    )
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {}).get("status")
    state, last = running.get("state") or {}, running.get("lastState") or {}
    waiting = state.get("waiting") or {}
    exited = state.get("terminated") or last.get("terminated") or {}
    return PodState(
        name=metadata["name"],
        created=metadata.get("creationTimestamp") or "",
        template_hash=sys.intern((metadata.get("labels") or {}).get("pod-template-hash", "")),
        image=sys.intern(container.get("image", "")),
        image_id=sys.intern(running.get("imageID", "")),
        ready=ready == "True",
        deleting="deletionTimestamp" in metadata,
        restarts=running.get("restartCount", 0),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        exit_reason=exited.get("reason", ""),
        exit_code=exited.get("exitCode"),
        unschedulable=sys.intern(scheduled.get("message", "")) if scheduled.get("status") == "False" else "",
        # The kubelet writes both at once. Only the node controller, when the kubelet is silent, writes one of them.
        lost_node=spec.get("nodeName", "") if running.get("ready") and ready == "False" else "",
    )


def newest_template(pods: Sequence[PodState]) -> list[PodState]:
    """The pods of the template whose pod was created last, leaving ones excluded."""
    alive = [pod for pod in pods if not pod.deleting]
    if not alive:
        return []
    newest = max(alive, key=lambda pod: (pod.created, pod.name))
    return [pod for pod in alive if pod.template_hash == newest.template_hash]


def find_trouble(pods: Sequence[PodState]) -> Trouble | None:
    """The most telling trouble of these pods, or None. Leaving pods never count.

    Deterministic, so that a status is not rewritten because two pods fail in the same way:
    by kind of trouble first, then the pod's name.
    """
    troubles = [
        (trouble, pod.name)
        for pod in pods
        if not pod.deleting and not pod.ready and (trouble := _trouble_of(pod)) is not None
    ]
    order = list(Reason)
    return min(troubles, key=lambda found: (order.index(found[0].reason), found[1]))[0] if troubles else None


def _trouble_of(pod: PodState) -> Trouble | None:
    """What is wrong with one pod that is not ready; None while it may still be starting."""
    if pod.lost_node:
        return Trouble(
            Reason.NODE_LOST,
            f"pod {pod.name}: its node {pod.lost_node} does not answer; another pod takes its place 5 minutes later",
        )
    if pod.unschedulable:
        return Trouble(Reason.UNSCHEDULABLE, f"pod {pod.name}: no node takes it: {pod.unschedulable}")
    if pod.waiting_reason in _PULL_FAILURES:
        return Trouble(
            Reason.IMAGE_PULL_FAILED,
            f"pod {pod.name}: image {pod.image} cannot be pulled: "
            f"check spec.image and spec.image.pullSecrets ({_detail(pod)})",
        )
    if pod.waiting_reason == "CreateContainerConfigError":
        return Trouble(Reason.CONFIG_MISSING, f"pod {pod.name}: configuration missing: {_detail(pod)}")
    if pod.waiting_reason in _START_FAILURES:
        return Trouble(Reason.CONTAINER_START_FAILED, f"pod {pod.name}: cannot start ({_detail(pod)})")
    if pod.exit_reason == "OOMKilled":
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"pod {pod.name}: killed at its memory limit: raise spec.resources.limits.memory or use less",
        )
    if pod.waiting_reason == "CrashLoopBackOff" or (pod.exit_code is not None and pod.restarts > 0):
        return Trouble(
            Reason.CRASH_LOOP,
            f"pod {pod.name}: the container exits with code {pod.exit_code} ({pod.exit_reason or 'Error'}): "
            f"see `kubectl logs {pod.name} --previous`",
        )
    return None


def _detail(pod: PodState) -> str:
    """Why a container waits, on one line.

    A failed pull alternates between `ErrImagePull: cause` and `ImagePullBackOff: … ErrImagePull: cause` every
    few seconds. Only the cause is said, and without the sockets of the attempt, so that the status stands still.
    """
    message = _SOCKETS.sub("", " ".join(pod.waiting_message.split()))
    cause = message.rpartition("ErrImagePull: ")[2] or pod.waiting_reason
    return cause[:300]
