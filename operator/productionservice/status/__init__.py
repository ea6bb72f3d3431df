"""Status: what was found and done, as a pure function of one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from productionservice.api.v1alpha1 import Problem, ProductionService
from productionservice.availability import problems
from productionservice.children.context import BuildContext
from productionservice.children.exposure import unheeded
from productionservice.children.references import Missing
from productionservice.contract import service_url
from productionservice.effective import Effective
from productionservice.errors import InvalidSpec
from productionservice.live import DeploymentState, Live
from productionservice.pause import Pause
from productionservice.plan import DEPLOYMENT, Action, Applied
from productionservice.status import applied as applied_condition
from productionservice.status import (
    available,
    called,
    certified,
    exposed,
    monitored,
    opened,
    paused,
    ready,
    referenced,
    rolled_out,
)
from productionservice.status.conditions import ACCEPTED, done, needs_someone, stamp
from productionservice.status.inputs import StatusInput
from productionservice.status.pods import PodState
from productionservice.status.reasons import Reason

__all__ = ["compute_status", "invalid_status"]


def compute_status(
    *,
    service: ProductionService,
    effective: Effective,
    applied: Applied,
    pods: Sequence[PodState],
    previous: Mapping[str, Any],
    now: datetime,
    missing: tuple[Missing, ...] | None = (),
    pause: Pause | None = None,
    admitted: Mapping[str, Sequence[str] | None] = MappingProxyType({}),
    context: BuildContext | None = None,
) -> dict[str, Any]:
    """The whole status in JSON form. Equal inputs give an equal status whatever `now` is, except where a
    condition's status changed.

    `previous` is the status that the API server has: only its transition times are used. `missing`, `pause`,
    `admitted` and `context` as in StatusInput.
    """
    given = StatusInput(
        service, effective, applied, _deployment(service, applied), pods, missing, pause, admitted,
        context or BuildContext(),
    )  # fmt: skip
    monitoring = monitored.evaluate(given)
    found = [
        done(ACCEPTED, Reason.ACCEPTED, "the spec is valid"),
        referenced.evaluate(given),
        applied_condition.evaluate(given),
        monitoring if monitored.required(given) else None,
        available.evaluate(given),
        rolled_out.evaluate(given),
        exposed.evaluate(given),
    ]
    findings = [finding for finding in found if finding is not None]
    # What Ready does not depend on.
    others = (
        None if monitored.required(given) else monitoring,
        certified.evaluate(given),
        called.evaluate(given),
        opened.evaluate(given),
        paused.evaluate(given),
    )
    beside = [finding for finding in others if finding is not None]
    generation = service.metadata.generation
    return {
        "observedGeneration": generation,
        "conditions": stamp(
            [ready.summarise(findings), *findings, *beside],
            previous.get("conditions") or [],
            generation=generation,
            now=now,
        ),
        "version": effective.version,
        "url": exposed.url(given) or service_url(service),
        "image": {"wanted": effective.image, "running": _running(pods)},
        "replicas": _counts(given.deployment),
        "effective": _effective(effective),
        "children": _children(applied),
        "problems": [problem.model_dump(by_alias=True) for problem in _problems(given)],
    }


def invalid_status(
    *, generation: int, error: InvalidSpec, previous: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Status for a spec that cannot be read: what was known of the running children is kept."""
    finding = needs_someone(ACCEPTED, Reason.INVALID_SPEC, str(error))
    return {
        **{k: v for k, v in previous.items() if k not in {"observedGeneration", "conditions"}},
        "observedGeneration": generation,
        "conditions": stamp(
            [ready.summarise([finding]), finding],
            previous.get("conditions") or [],
            generation=generation,
            now=now,
        ),
    }


def _problems(given: StatusInput) -> list[Problem]:
    return [
        *_of_a_newer_release(given.service),
        *problems(given.service.spec, given.effective),
        *unheeded(given.service, given.context),
    ]


def _of_a_newer_release(service: ProductionService) -> list[Problem]:
    return [
        Problem(
            field=path,
            message="this version of the operator does not know it: upgrade the operator, or remove it",
        )
        for path in service.unknown
    ]


def _deployment(service: ProductionService, applied: Applied) -> DeploymentState | None:
    """From the newest live Deployment of the pass: its replicas may have been a change of their own.

    Somebody else's Deployment says nothing about this service.
    """
    found = [
        result.live.state
        for result in applied.results
        if result.change.ref.kind == DEPLOYMENT
        and result.live is not None
        and (result.change.action is not Action.SKIPPED or _controls(service, result.live))
    ]
    last = found[-1] if found else None
    return last if isinstance(last, DeploymentState) else None


def _controls(service: ProductionService, live: Live) -> bool:
    return live.owner is not None and live.owner.uid == service.metadata.uid


def _running(pods: Sequence[PodState]) -> list[str]:
    return sorted({pod.image_id for pod in pods if pod.image_id and not pod.deleting})


def _counts(deployment: DeploymentState | None) -> dict[str, int]:
    if deployment is None:
        return {"desired": 0, "updated": 0, "ready": 0, "available": 0}
    return {
        "desired": deployment.desired,
        "updated": deployment.updated,
        "ready": deployment.ready,
        "available": deployment.available,
    }


def _effective(effective: Effective) -> dict[str, Any]:
    return {
        "replicasMin": effective.replicas_min,
        "replicasMax": effective.replicas_max,
        "maxUnavailable": effective.max_unavailable,
        "zones": effective.zones.value,
        "terminationGracePeriodSeconds": effective.grace_seconds,
    }


def _children(applied: Applied) -> list[dict[str, Any]]:
    """One entry an object, in apply order; two changes of one object (its replicas) count together."""
    entries: dict[tuple[str, str], bool] = {}
    for result in applied.results:
        if result.change.manifest is not None:
            key = (result.change.ref.kind, result.change.ref.name)
            entries[key] = entries.get(key, True) and result.error is None
    return [{"kind": kind, "name": name, "ready": ok} for (kind, name), ok in entries.items()]
