"""Conditions as values, and the only place that stamps their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.status.reasons import Reason

READY, ACCEPTED, APPLIED, AVAILABLE, ROLLED_OUT = "Ready", "Accepted", "Applied", "Available", "RolledOut"
REFERENCES_READY, MONITORING_READY, PAUSED = "ReferencesReady", "MonitoringReady", "Paused"
CALLS_ALLOWED, HOSTS_ALLOWED = "CallsAllowed", "HostsAllowed"
EXPOSED, CERTIFICATE_READY = "Exposed", "CertificateReady"
ORDER = (
    READY, ACCEPTED, REFERENCES_READY, APPLIED, AVAILABLE, ROLLED_OUT, EXPOSED, CERTIFICATE_READY,
    MONITORING_READY, CALLS_ALLOWED, HOSTS_ALLOWED, PAUSED,
)  # fmt: skip
"""Ready first: it is what people look for."""

MESSAGE_LIMIT = 1024
"""Characters; Kubernetes allows 32,768, but nobody reads them in a terminal."""


@dataclass(frozen=True)
class Finding:
    """What one evaluator found, before time and generation are stamped on it."""

    type: str
    status: ConditionStatus
    reason: Reason
    message: str


def done(type_: str, reason: Reason, message: str) -> Finding:
    """As wanted."""
    return Finding(type_, ConditionStatus.TRUE, reason, message)


def needs_someone(type_: str, reason: Reason, message: str) -> Finding:
    """Does not get better by waiting."""
    return Finding(type_, ConditionStatus.FALSE, reason, message)


def in_progress(type_: str, reason: Reason, message: str) -> Finding:
    """On its way, or not known yet."""
    return Finding(type_, ConditionStatus.UNKNOWN, reason, message)


def timestamp(now: datetime) -> str:
    """RFC 3339, UTC, whole seconds: the form that Kubernetes uses."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(
    findings: Sequence[Finding], previous: Sequence[Mapping[str, Any]], *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Findings as conditions, sorted. `lastTransitionTime` moves only when `status` changes."""
    before = {condition["type"]: condition for condition in previous}
    return [
        {
            "type": finding.type,
            "status": finding.status.value,
            "reason": finding.reason.value,
            "message": finding.message[:MESSAGE_LIMIT],
            "lastTransitionTime": _transition_time(finding, before.get(finding.type), now),
            "observedGeneration": generation,
        }
        for finding in sorted(findings, key=lambda f: ORDER.index(f.type))
    ]


def _transition_time(finding: Finding, before: Mapping[str, Any] | None, now: datetime) -> str:
    if before and before.get("status") == finding.status.value and before.get("lastTransitionTime"):
        return str(before["lastTransitionTime"])
    return timestamp(now)
