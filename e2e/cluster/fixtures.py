"""pytest plugin: clusters for a whole session, a namespace for each test.

A session brings up its own clusters and takes them down. With `E2E_REUSE=1` it uses those that are up,
brings up the others, and leaves all of them: for work on tests. After a failed session the components' logs
are kept, and the summary says where.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

from e2e.cluster import lifecycle
from e2e.cluster.providers import Cluster, open_cluster, provider
from e2e.cluster.rundir import known_clusters
from e2e.cluster.spec import Level

_SAVED_LOGS = pytest.StashKey[set[str]]()
_FIXTURES = ("nodes_cluster", "node_cluster", "api_cluster")
_NOTHING_SHARED = "faults/test_faults.py"
_OF_A_SESSION = re.compile(r"e2e-[a-z]+-(\d+)")
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="session")
def api_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster with a real API server and controllers; pods stay pending."""
    yield from _session_cluster(request, Level.API)


@pytest.fixture(scope="session")
def node_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster with a node: pods run, and reach each other as network policies allow."""
    yield from _session_cluster(request, Level.NODE)


@pytest.fixture(scope="session")
def nodes_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster with three nodes in three zones."""
    yield from _session_cluster(request, Level.NODES)


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a namespace of the test's own, with Pod Security *restricted* enforced.

    It is in the cluster whose fixture the test asks for as well.
    """
    cluster: Cluster = request.getfixturevalue(next(f for f in _FIXTURES if f in request.fixturenames))
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, _RESTRICTED)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count as deselected, what tests our own cluster's insides when another one is used."""
    if provider() == "ours":
        return
    inside = [item for item in items if item.get_closest_marker("inside")]
    config.hook.pytest_deselected(items=inside)
    items[:] = [item for item in items if item not in inside]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the logs of the clusters are after a failure."""
    for folder in config.stash.get(_SAVED_LOGS, set()):
        terminalreporter.write_line(f"logs of the cluster's components: {folder}")


def _session_cluster(request: pytest.FixtureRequest, level: Level) -> Iterator[Cluster]:
    reuse = os.environ.get("E2E_REUSE") == "1"
    # Sessions run beside each other. One kind or existing cluster has nodes enough for every level.
    own = f"e2e-{level}" if reuse else f"e2e-{level}-{os.getpid()}"
    if provider() == "ours":
        _remove_abandoned()
    cluster = open_cluster(own if provider() == "ours" else "e2e", level)
    cluster.create()
    yield cluster
    if request.session.testsfailed and (saved := cluster.save_logs()):
        _remember(request.config, saved)
    if not reuse:
        cluster.delete()


def _remember(config: pytest.Config, logs: Path) -> None:
    """Keep where logs are for the summary, which another process writes where tests are spread over some."""
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault("logs", []).append(str(logs))
    config.stash.setdefault(_SAVED_LOGS, set()).add(str(logs))


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """A module's tests stay together for the fixtures that they share; faults share none, and take half the time."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module.endswith(_NOTHING_SHARED) else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByModule | None:
    """How tests are spread over processes, where nothing else was asked for."""
    return _ByModule(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process with a part of the tests has kept (xdist)."""
    logs = getattr(node, "workeroutput", {}).get("logs", ())  # one that crashed has said nothing
    node.config.stash.setdefault(_SAVED_LOGS, set()).update(logs)


def _remove_abandoned() -> None:
    """Take down clusters of sessions that were killed before they could do it."""
    for name in known_clusters():
        if (found := _OF_A_SESSION.fullmatch(name)) and not Path("/proc", found[1]).exists():
            lifecycle.down(name)
