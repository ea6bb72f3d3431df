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
POLICIES = "ciliumnetworkpolicies.cilium.io"
HOST = {"fqdn": "api.example", "port": 443}


@pytest.fixture
def operator(api_cluster: Cluster, tmp_path: Path) -> Iterator[OperatorProcess]:
    """One that starts on a cluster without the kinds."""
    api_cluster.kubectl("delete", "crd", CRD, POLICIES, "--ignore-not-found")
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


def test_hosts_stay_closed_until_cilium_is_there_and_nothing_else_waits(
    operator: OperatorProcess, namespace: str, tmp_path: Path
) -> None:
    team = Team(operator.cluster, operator, namespace, tmp_path)
    team.apply(network={"allowTo": [{"cidr": "192.0.2.10/32", "port": 5432}, HOST]})
    team.converged()
    closed = team.get("networkpolicy")["spec"]["egress"]

    def absent() -> None:
        found = team.condition("HostsAllowed")
        assert (found["status"], found["reason"]) == ("False", "CRDNotInstalled")
        assert POLICIES in found["message"]
        assert "write cidr, the address range, instead of fqdn: api.example:443" in found["message"]
        assert team.condition("Applied")["status"] == "True", "nothing else is held back"

    eventually(absent, timeout=30)
    assert [[peer.get("ipBlock") for peer in rule["to"]] for rule in closed] == [
        [None],
        [{"cidr": "192.0.2.10/32"}],
    ], "DNS and the range are open, and nothing for the host"

    crds.install(team.cluster, "cilium", "ciliumnetworkpolicies")

    def present() -> None:
        assert team.condition("HostsAllowed")["status"] == "True"
        policy = team.get(POLICIES)
        assert policy["metadata"]["ownerReferences"][0]["name"] == "catalog"
        assert policy["spec"]["egress"][1]["toFQDNs"] == [{"matchName": "api.example"}]
        assert policy["spec"].keys() == {"endpointSelector", "egress", "egressDeny"}

    eventually(present, timeout=30)
    assert team.get("networkpolicy")["spec"]["egress"] == closed, "the other policy is as it was"
    opened = '{"spec": {"ingress": [{"fromEntities": ["all"]}], "egress": [{"toEntities": ["all"]}]}}'
    team.kubectl("patch", POLICIES, "catalog", "--type=merge", "-p", opened)
    eventually(present, timeout=30)
    invalid = '{"status": {"conditions": [{"type": "Valid", "status": "False", "message": "no such rule"}]}}'
    team.kubectl("patch", POLICIES, "catalog", "--type=merge", "--subresource=status", "-p", invalid)

    def refused() -> None:
        found = team.condition("HostsAllowed")
        assert (found["status"], found["reason"]) == ("False", "HostsRefused")
        assert "no such rule" in found["message"]

    eventually(refused, timeout=30)

    team.cluster.kubectl("delete", "crd", POLICIES)
    eventually(absent, timeout=30)
    assert operator.process is not None
    assert operator.process.poll() is None, "no crash, no restart"
