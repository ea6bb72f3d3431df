"""Fixtures of the scenarios on real nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.providers import Cluster
from e2e.install import install_operator, load_images
from e2e.services import Services, new_namespace

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
    with new_namespace(operator) as made:
        yield made
