"""The pods and how they are replaced."""

from __future__ import annotations

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.children.context import BuildContext, Manifest
from productionservice.children.pod import pod_template, version_labels
from productionservice.effective import Effective
from productionservice.names import child_name

REVISIONS = 5
"""Old ReplicaSets that are kept for `kubectl rollout undo`."""


def build_deployment(service: ProductionService, effective: Effective, context: BuildContext) -> Manifest:
    """Surge only: a new pod serves before an old one leaves. No `spec.replicas`: see `replicas_manifest`."""
    return {
        "metadata": {"name": child_name(service.metadata.name), "labels": version_labels(effective)},
        "spec": {
            "selector": {"matchLabels": labels.selector_labels(service.metadata.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            **({"minReadySeconds": effective.min_ready_seconds} if effective.min_ready_seconds else {}),
            "progressDeadlineSeconds": effective.progress_deadline_seconds,
            "revisionHistoryLimit": REVISIONS,
            "template": pod_template(service, effective, context),
        },
    }


def desired_replicas(effective: Effective, live: int | None) -> int:
    """The number of pods to ask for, given the live number (None: no Deployment yet).

    Fixed: that number. Autoscaled: the live one, moved into the bounds; an autoscaler never leaves 0, so 0
    and none at all become the minimum.
    """
    if not effective.autoscaled or not live:
        return effective.replicas_min
    return min(max(live, effective.replicas_min), effective.replicas_max)


def replicas_manifest(service: ProductionService, count: int) -> Manifest:
    """The number of pods alone, for its own field manager (ADR 0004)."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": child_name(service.metadata.name), "namespace": service.metadata.namespace},
        "spec": {"replicas": count},
    }
