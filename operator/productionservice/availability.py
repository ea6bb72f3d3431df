"""What rollouts, node drains and a lost zone do to a service: all of its numbers looked at together, before it runs.

`compute_effective` refuses what can never work; here is what works but is not as the spec asks, or not as
production should be. Each message names a field and its value, says what would happen, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from productionservice.api.v1alpha1 import Environment, Problem, Spec, ZoneSpread
from productionservice.children.quantity import amount
from productionservice.contract import RESERVE_SECONDS
from productionservice.effective import PROFILES, Effective

SURGE = 0.25
"""Part of the pods, rounded up, that a rollout starts beside the old ones (`maxSurge` of the Deployment)."""
PATIENCE_SECONDS = 600
"""How long the cluster autoscaler lets a pod end before it takes the node all the same
(its `--max-graceful-termination-sec`; GKE and AKS keep that default)."""


@dataclass(frozen=True)
class Outlook:
    """What disruptions do to a service at its fewest pods: with more, as many leave and more stay."""

    pods: int
    """Pods that serve when nothing is the matter."""
    at_once: int
    """Pods that node drains may take at the same time: what the disruption budget allows."""
    surge: int
    """Pods that a rollout starts beside those. It takes no old one before a new one serves, so that a drain in
    the middle of a rollout finds at least `pods`."""
    leaving_seconds: int
    """Longest time that a drain waits for one pod to end."""
    starting_seconds: int
    """Longest time until the next pod may be taken: its predecessor's replacement has to serve first."""

    @property
    def drain_leaves(self) -> int:
        """Pods that serve while drains take as many as they may, whether a rollout is under way or not."""
        return self.pods - self.at_once

    def zone_leaves(self, zones: int) -> int:
        """Pods that stay when the fullest of `zones` zones is lost, if pods are spread evenly over them."""
        return self.pods - ceil(self.pods / zones)


def outlook(spec: Spec, effective: Effective) -> Outlook:
    """The numbers of one service."""
    return Outlook(
        pods=effective.replicas_min,
        at_once=effective.max_unavailable,
        surge=ceil(effective.replicas_min * SURGE),
        leaving_seconds=effective.grace_seconds,
        starting_seconds=spec.probes.startup_seconds,
    )


def explain(spec: Spec, effective: Effective, zones: int | None = None) -> str:
    """What would happen, in one sentence. `zones`: in how many the cluster has nodes, None when nobody knows."""
    seen = outlook(spec, effective)
    return (
        f"with {_pods(seen.pods)}, and {seen.surge} more during a rollout, a node drained then leaves "
        f"{seen.drain_leaves} of {seen.pods} and waits at most {seen.leaving_seconds} s a pod, then up to "
        f"{seen.starting_seconds} s for its replacement; "
        f"a lost zone leaves {_zone_lost(seen, effective.zones, zones)}"
    )


def problems(spec: Spec, effective: Effective, zones: int | None = None) -> list[Problem]:
    """Warnings, in the order of the spec. `zones`: in how many the cluster has nodes, None when nobody knows."""
    seen = outlook(spec, effective)
    return [
        *_replicas(spec, effective, seen),
        *_budget(spec, effective),
        *_zones(spec, effective, seen, zones),
        *_shutdown(spec, effective, seen),
        *_load(spec, effective, seen),
    ]


def _replicas(spec: Spec, effective: Effective, seen: Outlook) -> Iterator[Problem]:
    default = PROFILES[spec.environment].replicas_min
    if seen.drain_leaves == 0 and spec.environment is not Environment.DEVELOPMENT:
        yield Problem(
            field="spec.replicas.min",
            message=f"one pod in {spec.environment.value}: a drain interrupts the service; write 2 or more",
        )
    if spec.replicas.min is None and effective.replicas_min < default:
        yield Problem(
            field="spec.replicas.max",
            message=f"{effective.replicas_max} is fewer than {spec.environment.value}'s default of "
            f"{default} pods; write spec.replicas.min if that is meant",
        )


def _budget(spec: Spec, effective: Effective) -> Iterator[Problem]:
    wanted = spec.availability.max_unavailable
    if wanted is not None and wanted > effective.max_unavailable:
        yield Problem(
            field="spec.availability.maxUnavailable",
            message=f"{wanted} of {effective.replicas_min} pods would lose the majority; "
            f"{effective.max_unavailable} is used, so write that, or more pods",
        )


def _zones(spec: Spec, effective: Effective, seen: Outlook, zones: int | None) -> Iterator[Problem]:
    field = "spec.availability.zones"
    if effective.zones is ZoneSpread.IGNORED and spec.environment is Environment.PRODUCTION and seen.pods > 1:
        yield Problem(
            field=field,
            message=f"Ignored: all {seen.pods} pods may run in one zone, and a lost zone then leaves 0 of "
            f"{seen.pods}; write Preferred",
        )
    if effective.zones is not ZoneSpread.REQUIRED:
        return
    if zones == 1:
        yield Problem(
            field=field,
            message=f"Required: all nodes are in 1 zone, so nothing is spread, and that zone lost leaves 0 of "
            f"{seen.pods}; write Ignored, or add nodes in another zone",
        )
    elif seen.pods == 1:
        yield Problem(
            field=field,
            message="Required: one pod is in one zone whatever is written here, and that zone lost leaves 0 of 1; "
            "write 2 or more in spec.replicas.min",
        )


def _shutdown(spec: Spec, effective: Effective, seen: Outlook) -> Iterator[Problem]:
    if effective.propagation_seconds == 0 and spec.environment is not Environment.DEVELOPMENT:
        yield Problem(
            field="spec.shutdown.propagationSeconds",
            message="0: a leaving pod stops before the cluster has heard of it, so every rollout and drain loses "
            "requests; write 5",
        )
    if seen.leaving_seconds > PATIENCE_SECONDS:
        best = PATIENCE_SECONDS - RESERVE_SECONDS - effective.propagation_seconds
        yield Problem(
            field="spec.shutdown.drainSeconds",
            message=f"{effective.drain_seconds}: a drain would wait {seen.leaving_seconds} s for each pod, and a "
            f"cluster autoscaler takes the node after {PATIENCE_SECONDS} s; write {best} or less",
        )


def _load(spec: Spec, effective: Effective, seen: Outlook) -> Iterator[Problem]:
    """While a drain takes pods, the others carry their load: more than a CPU limit lets them, perhaps."""
    request, limit = spec.resources.requests.cpu, spec.resources.limits.cpu
    if not (effective.autoscaled and seen.drain_leaves and request and limit and amount(request)):
        return
    ceiling = int(100 * amount(limit) / amount(request))
    needed = ceil(effective.cpu_percent * seen.pods / seen.drain_leaves)
    if needed > ceiling:
        yield Problem(
            field="spec.replicas.cpuPercent",
            message=f"{effective.cpu_percent}: while a drain takes {seen.at_once} of {seen.pods} pods the others "
            f"need {needed} % of their CPU request, and resources.limits.cpu gives {ceiling} %; write "
            f"{_percent(ceiling, seen)} or less, or a higher limit",
        )


def _percent(ceiling: int, seen: Outlook) -> int:
    """Use at which those that a drain leaves stay below the limit; at least 1, the least that can be written."""
    return max(1, min(100, ceiling * seen.drain_leaves // seen.pods))


def _zone_lost(seen: Outlook, spread: ZoneSpread, zones: int | None) -> str:
    """How many stay, and what that stands on."""
    none = f"0 of {seen.pods}"
    if seen.pods == 1 or zones == 1:
        return none
    if spread is ZoneSpread.IGNORED:
        return f"perhaps {none}"
    kept = f"{seen.zone_leaves(zones or 2)} of {seen.pods}"
    suffix = "" if zones else " if there are two zones"
    return kept + suffix + (" and they have room" if spread is ZoneSpread.PREFERRED else "")


def _pods(count: int) -> str:
    return f"{count} pod{'s' if count > 1 else ''}"
