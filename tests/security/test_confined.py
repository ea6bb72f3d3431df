"""An operator that is confined to some namespaces, with exactly the Roles that the chart renders for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.audit import AuditLog
from e2e.cluster.providers import Cluster
from e2e.crds import wait_established
from e2e.eventually import eventually
from productionservice.children import CHILDREN
from tests.api.operator_process import CRD, OperatorProcess
from tests.api.team import Team
from tests.chart.rendering import NAMESPACE, Json, render
from tests.security.test_rights import EVERY_CHILD

pytestmark = pytest.mark.api

RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def rendered_rights(namespaces: list[str], home: str) -> list[Json]:
    """What the chart, installed into `home`, gives an operator of these namespaces."""
    values: Json = {"config": {"namespaces": namespaces}, "rbac": {"aggregateToUserRoles": False}}
    made = [manifest for manifest in render(values) if manifest["kind"] in RIGHTS]
    found: list[Json] = json.loads(json.dumps(made).replace(NAMESPACE, home))
    return found


@dataclass
class Confined(OperatorProcess):
    """An operator with the chart's own rendering of its rights."""

    namespaces: list[str] = field(default_factory=list)

    def install(self) -> None:
        """The CRD, the account and its Roles."""
        self.settings["NAMESPACES"] = ",".join(self.namespaces)
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        wait_established(self.cluster, CRD)
        self.cluster.kubectl("create", "namespace", self.home)
        self._apply(*rendered_rights(self.namespaces, self.home))
        self._write_kubeconfig()


@pytest.fixture
def confined(
    api_cluster: Cluster, every_kind: None, namespace: str, tmp_path: Path  # noqa: ARG001 - for its effect
) -> Iterator[Confined]:  # fmt: skip
    """An operator of one namespace; not started."""
    home = f"system-{uuid.uuid4().hex[:8]}"
    process = Confined(api_cluster, home, tmp_path, namespaces=[namespace])
    process.install()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "namespace", home, "--wait=false")


def test_s01_a_confined_operator_has_no_right_in_the_cluster() -> None:
    made = rendered_rights(["team"], "home")

    assert {manifest["kind"] for manifest in made} == {"ServiceAccount", "Role", "RoleBinding"}
    assert {manifest["metadata"]["namespace"] for manifest in made} == {"team", "home"}


def test_s01_a_confined_operator_works_with_the_charts_roles_and_asks_for_no_more(
    confined: Confined, namespace: str, tmp_path: Path
) -> None:
    log = AuditLog(confined.cluster.audit_log)
    confined.start()
    team = Team(confined.cluster, confined, namespace, tmp_path)
    team.apply(**EVERY_CHILD)
    team.converged()
    team.repair()

    assert [kind.kind for kind, _ in CHILDREN if not team.exists(kind.plural)] == ["Ingress"]
    assert confined.stop() == 0

    def seen() -> None:
        assert log.writes(confined.user, namespace)

    eventually(seen, timeout=10)  # the log is written a moment later
    assert [call for call in log.calls(confined.user) if not call.allowed] == []
