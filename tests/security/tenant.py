"""Somebody with a role of Kubernetes' own in one namespace, and the namespace as the tests see it."""

from __future__ import annotations

import copy
import json
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.chart.rendering import of_kind, render
from tests.security.test_rights import EVERY_CHILD

IMAGE = {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}


def many_children(namespace: str) -> dict[str, Any]:
    """A spec with every kind of child that one service can have, and with hosts that no other service claims."""
    spec = copy.deepcopy(EVERY_CHILD)
    if "expose" in spec:
        spec["expose"]["hosts"] = [f"{namespace}.example"]
    return spec


@dataclass(frozen=True)
class Tenant:
    """Somebody in one namespace."""

    cluster: Cluster
    namespace: str
    user: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl(f"--as={self.user}", "-n", self.namespace, *arguments, **options)

    def can(self, verb: str, *resource: str, namespace: str = "") -> bool:
        """The API server's own answer."""
        where = namespace or self.namespace
        try:
            self.cluster.kubectl("auth", "can-i", verb, *resource, f"--as={self.user}", "-n", where)
        except subprocess.CalledProcessError:
            return False
        return True

    def create(
        self, spec: dict[str, Any], *flags: str, annotations: dict[str, str] | None = None, **metadata: Any
    ) -> str:
        """Write a service, `catalog` unless `metadata` has another name."""
        manifest = catalog(spec, annotations or {}, **metadata)
        return self.kubectl("create", *flags, "-f", "-", input=json.dumps(manifest))

    def create_raw(self, spec: dict[str, Any]) -> str:
        """The request as it is written here: kubectl reads a file as YAML, which folds lines at U+0085 and U+2028."""
        path = f"/apis/productionservice.io/v1alpha1/namespaces/{self.namespace}/productionservices"
        return self.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(catalog(spec, {})))


def catalog(spec: dict[str, Any], annotations: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "productionservice.io/v1alpha1",
        "kind": "ProductionService",
        "metadata": {"name": "catalog", "annotations": annotations, **metadata},
        "spec": {"image": IMAGE, **spec},
    }


@pytest.fixture(scope="module")
def roles(
    api_cluster: Cluster,
    every_kind: None,  # noqa: ARG001 - for its effect
    operator: OperatorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The chart's roles for users, beside the operator's CRD."""
    assert operator.process is not None
    path = tmp_path_factory.mktemp("roles") / "roles.json"
    made = [m for m in of_kind(render(), "ClusterRole") if m["metadata"]["name"].endswith(("-view", "-edit"))]
    assert len(made) == 2
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    api_cluster.kubectl("apply", "-f", str(path))


def bound(cluster: Cluster, namespace: str, role: str) -> Tenant:
    user = f"{role}-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("-n", namespace, "create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    tenant = Tenant(cluster, namespace, user)

    def takes_effect() -> None:
        assert tenant.can("list", "productionservices.productionservice.io")

    # The authorizer hears of a binding, and of the parts of a role, a moment later.
    eventually(takes_effect, timeout=30)
    return tenant


@pytest.fixture
def editor(api_cluster: Cluster, roles: None, namespace: str) -> Tenant:  # noqa: ARG001 - for its effect
    return bound(api_cluster, namespace, "edit")


@pytest.fixture
def viewer(api_cluster: Cluster, roles: None, namespace: str) -> Tenant:  # noqa: ARG001 - for its effect
    return bound(api_cluster, namespace, "view")


@pytest.fixture
def theirs(editor: Tenant, operator: OperatorProcess, tmp_path: Path) -> Team:
    """The editor's namespace as the tests see it."""
    return Team(editor.cluster, operator, editor.namespace, tmp_path)
