"""What clusters change on the machine, and that it is as before when the last one is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import host

BEFORE = {"vm/overcommit_memory": "0\n", "kernel/panic": "1\n", "fs/inotify/max_user_instances": "128\n"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders in place of those that only root may write."""
    for name, text in BEFORE.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(text)
    (tmp_path / "run").mkdir()
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(host, "_SYSCTL", str(tmp_path / "sys"))
    monkeypatch.setattr(host, "run_root", lambda: tmp_path / "run")
    monkeypatch.setattr(host, "_NETNS", tmp_path / "netns")
    monkeypatch.setattr(host, "MOUNT_POINTS", (tmp_path / "lib", tmp_path / "var" / "kubelet"))
    return tmp_path


def settings(machine: Path) -> dict[str, str]:
    return {name: (machine / "sys" / name).read_text() for name in BEFORE}


def test_limits_are_raised_and_mount_points_made(machine: Path) -> None:
    host.remember()

    assert settings(machine)["fs/inotify/max_user_instances"] == "1024"
    assert (machine / "var" / "kubelet").is_dir()


def test_everything_is_put_back_but_what_was_there_before(machine: Path) -> None:
    host.remember()
    (machine / "sys" / "vm" / "overcommit_memory").write_text("1\n")  # as the kubelet does
    host.remember()  # a second cluster must not take that for the machine's own
    host.restore()

    assert settings(machine) == BEFORE
    assert sorted(p.name for p in machine.iterdir()) == ["lib", "run", "sys"]
    assert list((machine / "run").iterdir()) == []


def test_folder_that_somebody_uses_by_now_stays(machine: Path) -> None:
    host.remember()
    (machine / "var" / "kubelet" / "theirs").touch()
    host.restore()

    assert (machine / "var" / "kubelet" / "theirs").exists()


def test_limit_that_is_high_enough_is_left_alone(machine: Path) -> None:
    (machine / "sys" / "fs" / "inotify" / "max_user_instances").write_text("8192\n")

    host.remember()

    assert settings(machine)["fs/inotify/max_user_instances"] == "8192\n"
