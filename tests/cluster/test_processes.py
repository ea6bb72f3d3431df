"""Counting, watching and ending processes, and what is said when one fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.ledger import CgroupV2Ledger, EnvironmentLedger, kill_all, mounted_hierarchies
from e2e.cluster.processes import AbortedError, ComponentError, Process, Startup, explain, running
from e2e.cluster.rundir import RunDir
from e2e.eventually import eventually
from e2e.progress import CommandError


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    for folder in ("logs", "pids"):
        (tmp_path / "dev" / folder).mkdir(parents=True)
    return RunDir(tmp_path / "dev")


@pytest.fixture
def startup(run: RunDir) -> Iterator[Startup]:
    ledger = EnvironmentLedger(run)
    yield Startup(run, ledger, report=lambda _: None)
    kill_all(ledger)


def test_daemon_is_counted_named_and_ended(run: RunDir, startup: Startup) -> None:
    process = startup.spawn("sleeper", ["sleep", "60"], part="any")

    def started() -> None:
        assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"

    eventually(started, timeout=5)
    assert startup.ledger.pids() == {process.pid}
    assert [(p.name, p.pid, p.alive) for p in running(run)] == [("sleeper", process.pid, True)]
    assert os.getsid(process.pid) == process.pid  # a terminal that closes does not end it
    assert kill_all(startup.ledger) == 1
    assert not process.alive


def test_daemon_of_another_cluster_is_not_counted(tmp_path: Path, startup: Startup) -> None:
    other = EnvironmentLedger(RunDir(tmp_path / "dev2"))
    startup.spawn("sleeper", ["sleep", "60"], part="any")

    assert other.pids() == set()


def test_waiting_ends_when_a_daemon_does_and_names_it(startup: Startup) -> None:
    startup.spawn("sound", ["sleep", "60"], part="any")
    startup.spawn("broken", ["sh", "-c", "echo no such flag >&2; exit 3"], part="any")

    with pytest.raises(ComponentError, match="broken ended while waiting for the impossible") as failure:
        startup.wait("the impossible", lambda: None, blame="sound", timeout=30)

    assert failure.value.component == "broken"


def test_waiting_too_long_says_for_what_and_what_came_instead(startup: Startup) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(
        ComponentError, match=r"no answer after 0 s \(ConnectionRefusedError: nobody listens\)"
    ):
        startup.wait("answer", refuse, blame="etcd", timeout=0)


def test_one_failure_ends_the_others_and_is_the_one_that_is_raised(startup: Startup) -> None:
    def fail() -> None:
        raise CommandError("the cause")

    def wait_for_ever() -> None:
        startup.wait("something", lambda: None, blame="etcd", timeout=60)

    with pytest.raises(CommandError, match="the cause") as raised:
        startup.together(wait_for_ever, fail, wait_for_ever)

    assert not isinstance(raised.value, AbortedError)


def test_failure_shows_the_end_of_the_log_and_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").write_text("".join(f"line {n}\n" for n in range(1, 31)))

    text = explain(ComponentError("etcd ended", "etcd"), tmp_path).splitlines()

    assert text[0] == "etcd ended"
    assert text[2:4] == ["  | line 11", "  | line 12"]
    assert text[-1] == f"read the whole log: {tmp_path / 'etcd.log'}"


def test_process_that_nobody_waited_for_is_not_alive(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    process = Process("true", child.pid, tmp_path / "log")

    def dead() -> None:
        assert not process.alive

    eventually(dead, timeout=5)
    assert Path(f"/proc/{child.pid}").exists()
    child.wait()


def test_cgroup_trees_are_found_on_v1_hybrid_and_v2() -> None:
    hybrid = """22 27 0:21 / /proc rw,relatime - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
    unified = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"

    root = "/sys/fs/cgroup"
    assert mounted_hierarchies(hybrid) == [Path(root, n) for n in ("cpu,cpuacct", "systemd", "unified")]
    assert mounted_hierarchies(unified) == [Path(root)]


def test_v2_controllers_are_enabled_from_the_top_down(tmp_path: Path) -> None:
    """Against plain files with the kernel's names; no kernel is behind them."""
    for folder in ("", "psvc.dev", "psvc.dev/n1"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (tmp_path / folder / "cgroup.subtree_control").write_text("cpu\n" if not folder else "\n")
    ledger = CgroupV2Ledger(tmp_path, "psvc.dev")

    ledger.create(["n1/daemons"])

    enabled = [(tmp_path / f / "cgroup.subtree_control").read_text() for f in ("", "psvc.dev", "psvc.dev/n1")]
    assert enabled == ["+memory +pids", "+cpu +memory +pids", "+cpu +memory +pids"]
    assert ledger.entries("n1/daemons") == [tmp_path / "psvc.dev" / "n1" / "daemons" / "cgroup.procs"]
    assert not (tmp_path / "psvc.dev" / "n1" / "daemons" / "cgroup.subtree_control").exists()
