"""Fixtures of the tests on a real API server."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import crds
from e2e.cluster.providers import Cluster
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.support.shop import Shop


@pytest.fixture(scope="module")
def every_kind(api_cluster: Cluster) -> None:
    """The CRDs of every optional kind of child."""
    crds.install_every_kind(api_cluster)


@pytest.fixture(scope="module")
def shop(
    api_cluster: Cluster, every_kind: None, tmp_path_factory: pytest.TempPathFactory  # noqa: ARG001 - for its effect
) -> Iterator[Shop]:  # fmt: skip
    """One namespace for this module."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    api_cluster.kubectl("create", "namespace", name)
    api_cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Shop(api_cluster, name, tmp_path_factory.mktemp("manifests"), itertools.count(1))
    api_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def operator(api_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """One operator for this module, beside which no other one leads."""
    home = f"system-{uuid.uuid4().hex[:8]}"
    process = OperatorProcess(api_cluster, home, tmp_path_factory.mktemp("operator"))
    process.install()
    process.start()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "namespace", home, "--wait=false")


@pytest.fixture
def team(operator: OperatorProcess, namespace: str, tmp_path: Path) -> Team:
    """What a team does in a namespace of its own, with that operator at work."""
    return Team(operator.cluster, operator, namespace, tmp_path)
