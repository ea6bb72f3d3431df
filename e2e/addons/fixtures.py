"""pytest plugin: add-ons on the session's cluster, each brought up once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.addons.installer import is_up, up
from e2e.addons.known import ADDONS
from e2e.cluster.providers import Cluster


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with add-ons run last: an add-on changes the cluster, for an autoscaler with figures acts on them."""
    items.sort(key=lambda item: "addons" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def addons(node_cluster: Cluster) -> Callable[..., Cluster]:
    """`addons("metrics-server", …)` brings add-ons up on the node cluster, with what they need, and returns it.

    Each is brought up once, and again after a test that has taken it down.
    """
    there: set[str] = set()

    def bring(*names: str) -> Cluster:
        there.difference_update(name for name in there & set(names) if not is_up(node_cluster, ADDONS[name]))
        up(node_cluster, [name for name in names if name not in there])
        there.update(names)
        return node_cluster

    return bring
