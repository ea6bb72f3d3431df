"""What only our own cluster promises: any user may start it, clusters do not meet, and nothing of one stays."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import dns, lifecycle
from e2e.cluster.providers import Cluster, OwnCluster, open_cluster
from e2e.cluster.rundir import RunDir, known_clusters
from e2e.cluster.spec import ClusterSpec, Level
from e2e.eventually import eventually
from e2e.progress import CommandError
from e2e.tools import cache_dir, ensure

pytestmark = pytest.mark.inside

ROOT = Path(__file__).parents[1]
NOBODY = 65534


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "e2e.cluster", *arguments]


def traces(spec: ClusterSpec) -> dict[str, list[str]]:
    """Everything on this machine that belongs to a cluster; others may come and go meanwhile."""
    mine = f"psvc.{spec.name}"
    block = ipaddress.ip_network(spec.block)
    routes = [
        route["dst"] for route in json.loads(_output("ip", "-json", "route")) if route["dst"] != "default"
    ]
    return {
        "mounts": [line for line in _read(Path("/proc/self/mountinfo")).splitlines() if spec.name in line],
        "namespaces": [p.name for p in Path("/run/netns").glob(f"{mine}.*")],
        "interfaces": [p.name for p in Path("/sys/class/net").glob(spec.host_interface)],
        "routes": [r for r in routes if ipaddress.ip_network(r).overlaps(block)],
        "cgroups": [str(p) for p in Path("/sys/fs/cgroup").rglob(mine)],
        "processes": [p.parent.name for p in Path("/proc").glob("[0-9]*/cgroup") if mine in _read(p)],
        "directories": [name for name in known_clusters() if name == spec.name],
    }


def assert_no_trace(spec: ClusterSpec) -> None:
    """The kernel may need a moment to forget processes that were just killed."""

    def nothing() -> None:
        assert {what: found for what, found in traces(spec).items() if found} == {}

    eventually(nothing, timeout=5)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A cluster name of the test's own; whatever is left of it is removed afterwards."""
    chosen = f"own-{request.node.name.removeprefix('test_')[:18].strip('_').replace('_', '-')}"
    yield chosen
    lifecycle.down(chosen)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter; those of `tmp_path` are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.api
def test_any_user_may_start_level_api(name: str, open_folder: Path) -> None:
    """As nobody, who can read neither root's home nor root's cache: both are mounted where nobody can."""
    ensure(["etcd", "kube"])
    places = {"repository": ROOT, "python": Path(sys.prefix), "cache": cache_dir()}
    for folder in places:
        (open_folder / folder).mkdir()
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    python = [str(open_folder / "python" / "bin" / "python"), "-m", "e2e.cluster"]
    steps = [
        [*python, "up", "--level", "api", "--name", name],
        [*python, "kubectl", "--name", name, "--", "get", "--raw", "/readyz"],
        [*python, "down", "--name", name],
    ]
    script = [
        f"mount --bind {shlex.quote(str(path))} {open_folder / folder}" for folder, path in places.items()
    ]
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    script += [f"cd {open_folder / 'repository'}", *(shlex.join([*as_nobody, *step]) for step in steps)]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PRODUCTIONSERVICE_CACHE": str(open_folder / "cache"),
        "XDG_RUNTIME_DIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    printed = _output("unshare", "--mount", "sh", "-ec", "\n".join(script), environment=environment)

    assert f"{name} is up" in printed
    assert "\nok" in printed
    assert "4 processes ended" in printed
    assert list(home.iterdir()) == []


@pytest.mark.api
def test_up_again_uses_the_running_cluster(name: str) -> None:
    first = lifecycle.up(ClusterSpec(name, Level.API))
    again = lifecycle.up(ClusterSpec(name, Level.API))

    assert (first.reused, again.reused) == (False, True)
    assert first.spec == again.spec


@pytest.mark.api
def test_failed_start_shows_the_component_and_leaves_nothing(name: str) -> None:
    def spoil(milestone: str) -> None:
        if "certificates" in milestone:
            (RunDir.of(name).credentials / "service-account.key").write_text("no key\n")

    with pytest.raises(CommandError) as failure:
        lifecycle.up(ClusterSpec(name, Level.API), report=spoil)

    *shown, last = str(failure.value).splitlines()
    log = Path(last.removeprefix("read the whole log: "))
    assert shown[0] == "kube-apiserver ended while waiting for answer of /readyz"
    assert any("private key" in line for line in shown), shown
    assert "private key" in log.read_text()
    assert name not in known_clusters()


@pytest.mark.api
def test_start_that_was_killed_is_taken_down_whole(name: str) -> None:
    run = RunDir.of(name)
    starting = subprocess.Popen(
        command("up", "--level", "api", "--name", name), cwd=ROOT, stdout=subprocess.DEVNULL
    )

    def half_way() -> None:
        assert (run.pids / "kube-apiserver").exists()

    eventually(half_way, timeout=10, interval=0.01)
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    status = subprocess.run(
        command("status", "--name", name), cwd=ROOT, capture_output=True, text=True, check=False
    )
    ended = lifecycle.down(name)

    assert status.returncode == 3
    assert ended >= 2
    assert not run.path.exists()
    assert lifecycle.down(name) == 0


@pytest.mark.nodes
def test_nothing_is_left_of_a_cluster_with_nodes(name: str) -> None:
    spec = lifecycle.up(ClusterSpec(name, Level.NODES, 2)).spec
    nowhere = [what for what, found in traces(spec).items() if not found]
    lifecycle.down(name)

    assert nowhere == []
    assert_no_trace(spec)


@pytest.mark.nodes
def test_second_cluster_runs_beside_the_first_and_leaves_it_alone(nodes_cluster: Cluster, name: str) -> None:
    second = open_cluster(name, Level.NODE)
    second.create()
    assert isinstance(nodes_cluster, OwnCluster)
    assert isinstance(second, OwnCluster)

    assert second.spec.block != nodes_cluster.spec.block
    assert dns.resolves(second.spec)
    second.delete()
    assert eventually(lambda: dns.resolves(nodes_cluster.spec), timeout=5)
    nodes_cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=10s")


@pytest.mark.node
def test_killed_start_of_a_node_leaves_nothing(name: str) -> None:
    starting = subprocess.Popen(command("up", "--name", name), cwd=ROOT, stdout=subprocess.DEVNULL)

    def half_way() -> None:
        assert (RunDir.of(name).pids / "kubelet-n1").exists()

    eventually(half_way, timeout=30, interval=0.02)
    spec = RunDir.of(name).spec()
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    lifecycle.down(name)

    assert spec
    assert_no_trace(spec)


def _output(*command: str, environment: dict[str, str] | None = None) -> str:
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
