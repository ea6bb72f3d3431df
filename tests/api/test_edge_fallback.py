"""A platform with a Gateway and an IngressClass, on a cluster that gets Gateway API later."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.audit import AuditLog
from e2e.cluster.providers import Cluster
from e2e.crds import install_every_kind
from e2e.eventually import eventually
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.api.test_expose import PLURALS, has, made, routed

pytestmark = pytest.mark.api

ROUTES = ("Gateway", "HTTPRoute")


@pytest.fixture
def without_routes(api_cluster: Cluster) -> Iterator[None]:
    install_every_kind(api_cluster)
    api_cluster.kubectl("delete", "crd", *(PLURALS[kind] for kind in ROUTES))
    yield
    install_every_kind(api_cluster)


@pytest.fixture
def operator(
    api_cluster: Cluster,
    without_routes: None,  # noqa: ARG001 - for its effect
    tmp_path: Path,
) -> Iterator[OperatorProcess]:
    """One that is told of both."""
    home = f"system-{uuid.uuid4().hex[:8]}"
    process = OperatorProcess(api_cluster, home, tmp_path, {"EDGE_INGRESS_CLASS": "nginx"})
    process.install()
    process.start()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "namespace", home, "--wait=false")


def test_an_ingress_stands_in_until_routes_lead_to_the_service(
    operator: OperatorProcess, namespace: str, tmp_path: Path
) -> None:
    team = Team(operator.cluster, operator, namespace, tmp_path)
    host = f"{team.namespace}.example"
    team.cluster.kubectl("wait", "--for=delete", "crd", *(PLURALS[kind] for kind in ROUTES))
    team.apply(expose={"hosts": [host]})
    team.converged()
    words = ("by Ingress of class nginx", "no Gateway API for Gateway edge/public")
    has(team, "Exposed", "True", "Exposed", f"http://{host}", *words)
    assert team.exists("ingress")

    log = AuditLog(team.cluster.audit_log)
    install_every_kind(team.cluster)

    def both() -> None:
        assert made(team) == {"Ingress/catalog", "HTTPRoute/catalog"}

    eventually(both, timeout=60)
    has(team, "Exposed", "Unknown", "Exposing", "until then by Ingress of class nginx")
    assert not [write for write in team.writes(log) if "ingresses" in write], "it is left as it is"

    routed(team, "catalog")

    def moved() -> None:
        assert made(team) == {"HTTPRoute/catalog"}

    eventually(moved, timeout=30)
    has(team, "Exposed", "True", "Exposed", f"http://{host}", "by Gateway edge/public")
