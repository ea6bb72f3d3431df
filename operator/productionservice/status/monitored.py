"""MonitoringReady: does Prometheus know of the service?"""

from __future__ import annotations

from productionservice.api.v1alpha1 import Monitor
from productionservice.status.conditions import MONITORING_READY, Finding
from productionservice.status.inputs import StatusInput
from productionservice.status.optional import child_finding
from productionservice.status.reasons import Reason

KIND = "ServiceMonitor"


def evaluate(given: StatusInput) -> Finding | None:
    """None when monitoring is off."""
    return child_finding(given, MONITORING_READY, KIND, Reason.SERVICE_MONITOR_APPLIED)


def required(given: StatusInput) -> bool:
    """True when the service is not Ready without."""
    return given.service.spec.observability.metrics.monitor is Monitor.REQUIRED
