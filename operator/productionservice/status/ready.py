"""Ready: the sum of the others."""

from __future__ import annotations

from collections.abc import Sequence

from productionservice.api.v1alpha1 import ConditionStatus
from productionservice.status.conditions import READY, Finding, done
from productionservice.status.reasons import Reason


def summarise(findings: Sequence[Finding]) -> Finding:
    """True when all are True; else the first False, else the first Unknown, speaks for all."""
    for status in (ConditionStatus.FALSE, ConditionStatus.UNKNOWN):
        for finding in findings:
            if finding.status is status:
                return Finding(READY, status, finding.reason, finding.message)
    return done(READY, Reason.READY, findings[-1].message)
