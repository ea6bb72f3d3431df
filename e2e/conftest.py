"""Fixtures of the scenarios on real nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from e2e.cluster.providers import Cluster
from e2e.install import install_operator, load_images
from e2e.services import Services

pytest_plugins = ["e2e.addons.fixtures", "e2e.cluster.fixtures"]


@pytest.fixture(scope="session")
def operator(node_cluster: Cluster) -> Cluster:
    """A cluster with real nodes and the operator in it, installed by Helm."""
    load_images(node_cluster)
    install_operator(node_cluster)
    return node_cluster


@pytest.fixture
def shop(operator: Cluster) -> Iterator[Services]:
    """A namespace of its own, with Pod Security restricted enforced."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    operator.kubectl("create", "namespace", name)
    operator.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Services(operator, name)
    operator.kubectl("delete", "namespace", name, "--wait=false")
