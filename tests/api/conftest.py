"""Fixtures of the tests on a real API server."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

import pytest

from e2e import crds
from tests.support.shop import Cluster, Shop


@pytest.fixture(scope="module")
def every_kind(api_cluster: Cluster) -> None:
    """The CRDs of every optional kind of child."""
    crds.install(api_cluster, "prometheus-operator", "servicemonitors")


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
