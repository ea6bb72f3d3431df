"""Kinds that come and go with their CRDs, on a real API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import crds
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team

pytestmark = pytest.mark.api

CRD = "servicemonitors.monitoring.coreos.com"


@pytest.fixture
def operator(api_cluster: Cluster, tmp_path: Path) -> Iterator[OperatorProcess]:
    """One that starts on a cluster without the kind."""
    api_cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
    process = OperatorProcess(api_cluster, f"system-{uuid.uuid4().hex[:8]}", tmp_path)
    process.install()
    process.start()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "namespace", process.home, "--wait=false")


def test_a_kind_is_used_when_it_comes_and_missed_when_it_goes(
    operator: OperatorProcess, namespace: str, tmp_path: Path
) -> None:
    team = Team(operator.cluster, operator, namespace, tmp_path)
    team.apply()
    team.converged()

    def absent() -> None:
        found = team.condition("MonitoringReady")
        assert (found["status"], found["reason"]) == ("False", "CRDNotInstalled")
        assert CRD in found["message"]

    eventually(absent, timeout=30)

    crds.install(team.cluster, "prometheus-operator", "servicemonitors")

    def present() -> None:
        assert team.condition("MonitoringReady")["status"] == "True"
        assert team.get("servicemonitor")["metadata"]["ownerReferences"][0]["name"] == "catalog"

    eventually(present, timeout=30)
    team.kubectl("delete", "servicemonitor", "catalog")
    eventually(present, timeout=30)

    team.cluster.kubectl("delete", "crd", CRD)
    eventually(absent, timeout=30)
    team.repair()
    assert operator.process is not None
    assert operator.process.poll() is None, "no crash, no restart"
