"""Commands, refusals and exit codes, without a cluster."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from e2e import packages
from e2e.cluster import __main__ as command_line
from e2e.cluster import lifecycle, providers
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.providers import ExistingCluster, OwnCluster, open_cluster
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec, Level
from e2e.eventually import eventually
from e2e.progress import CommandError

COMMANDS = ("up", "down", "status", "kubeconfig", "load-image", "logs", "kubectl")


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user without clusters."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PRODUCTIONSERVICE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main([command, "--help"])

    assert ended.value.code == 0
    assert re.search(rf"example: python -m e2e\.cluster\s+{command}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["status"], 3, "dev: down"),
        (["down"], 0, "dev is not up"),
        (["down", "--all"], 0, ""),
        (["kubeconfig"], 1, "dev is not up: python -m e2e.cluster up --name dev"),
        (["kubectl", "--", "get", "pods"], 1, "dev is not up"),
        (["load-image", "x", "--name", "other"], 1, "other is not up"),
        (["logs", "etcd"], 1, "no log of 'etcd': dev has none"),
        (["up", "--name", "No"], 1, "cluster name 'No'"),
        (["down", "--name", "../../home"], 1, "cluster name '../../home'"),
        (["up", "--level", "api", "--nodes", "2"], 1, "2 nodes at level api"),
        (["up", "--level", "node"], 1, "level node needs root: run it with sudo, or use --level api"),
    ],
)
def test_exit_code_and_last_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(arguments) == code

    printed = capsys.readouterr()
    assert message in (printed.out + printed.err)
    assert len((printed.out + printed.err).strip().splitlines()) <= 1


def test_wrong_usage_is_exit_code_two() -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["up", "--level", "galaxy"])

    assert ended.value.code == 2


def test_down_of_a_half_made_directory_removes_it(tmp_path: Path) -> None:
    (tmp_path / "productionservice-e2e" / "dev").mkdir(parents=True)

    assert lifecycle.down("dev") == 0
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_where_they_cannot_be_installed() -> None:
    with pytest.raises(CommandError, match="missing on this machine: a-package; install them"):
        packages.need({"no-such-program": "a-package", "sh": "dash"})


def test_unknown_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    providers.provider.cache_clear()

    with pytest.raises(CommandError, match="CLUSTER=minikube: use ours, kind, existing"):
        open_cluster("dev")
    providers.provider.cache_clear()


def test_provider_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("ours", "existing"):
        monkeypatch.setenv("CLUSTER", name)
        providers.provider.cache_clear()
        found.append(type(open_cluster("dev", level="api")))
    providers.provider.cache_clear()

    assert found == [OwnCluster, ExistingCluster]


def test_existing_cluster_without_kubeconfig_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(CommandError, match=r"no kubeconfig .*/none: set KUBECONFIG, or CLUSTER=ours"):
        ExistingCluster("dev", Level.NODE).create()


@pytest.fixture
def failing(tmp_path: Path) -> Kubectl:
    """A kubectl that always fails, and counts how often it was called."""
    program = tmp_path / "kubectl"
    program.write_text(
        f"#!/bin/sh\necho >>{tmp_path}/calls\necho first >&2\necho 'no such pod' >&2\nexit 4\n"
    )
    program.chmod(0o755)
    return Kubectl(program, tmp_path / "kubeconfig")


def test_failure_of_kubectl_is_its_last_line(failing: Kubectl) -> None:
    with pytest.raises(KubectlError, match="kubectl get pod x: no such pod") as failure:
        failing.run("get", "pod", "x")

    assert isinstance(failure.value, subprocess.CalledProcessError)
    assert (failure.value.returncode, failure.value.stderr) == (4, "first\nno such pod\n")


def test_port_that_cannot_be_forwarded_is_tried_as_often_as_asked(tmp_path: Path, failing: Kubectl) -> None:
    with (
        pytest.raises(CommandError, match=r"port-forward pod/x :80: no such pod"),
        failing.port_forward("pod/x", 80, retries=2),
    ):
        pytest.fail("it cannot be forwarded")

    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_eventually_gives_the_value_or_the_last_failure() -> None:
    attempts = iter([False, True])

    def second_time() -> str:
        assert next(attempts)
        return "done"

    assert eventually(second_time, timeout=5, interval=0.001) == "done"

    def never() -> None:
        raise AssertionError("still pending")

    with pytest.raises(AssertionError, match="still pending") as failure:
        eventually(never, timeout=0.01, interval=0.001)
    assert failure.value.__notes__ == ["still so after 0 s"]


def test_owner_of_a_start_is_known_until_it_ends(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "dev")
    run.create(ClusterSpec("dev", Level.API))
    mine = run.owner()
    (run.path / "owner").write_text(f"{os.getpid()} 1")  # the number, but of a process that started at boot
    another = run.owner()

    assert (mine, another) == (os.getpid(), None)


def test_kubectl_keeps_its_cache_beside_the_kubeconfig(failing: Kubectl) -> None:
    assert failing.environment["KUBECACHEDIR"] == str(failing.kubeconfig.parent / "cache")
