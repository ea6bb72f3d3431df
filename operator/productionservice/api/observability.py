"""How a service is watched."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from productionservice.api.model import HttpPath, Model, Port


class Monitor(StrEnum):
    """Whether Prometheus is told about the service."""

    AUTO = "Auto"
    REQUIRED = "Required"
    OFF = "Off"


class Metrics(Model):
    """Where the metrics are, and whether they are scraped."""

    monitor: Monitor = Monitor.AUTO
    """`Auto` makes a ServiceMonitor and is content where the cluster has no Prometheus operator; with `Required` the
    service is not Ready then; `Off` makes none."""
    port: Port | None = None
    """Port of the metrics. Default: `adminPort`."""
    path: HttpPath = "/metrics"
    """Answers with the metrics."""
    interval_seconds: Annotated[int, Field(ge=5, le=300)] = 30
    """Time between two scrapes."""


class Observability(Model):
    """How the service is watched."""

    metrics: Metrics = Metrics()
    """What Prometheus scrapes."""
