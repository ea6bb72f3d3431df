"""What decides where a tool is in the cache, and how it gets there."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e import crds
from e2e.progress import CommandError
from e2e.tools import __main__ as command_line
from e2e.tools import builder, pins
from e2e.tools.cache import cache_dir, make_once
from e2e.tools.pins import FAMILIES, Family, family_of, pinned, prometheus_version
from e2e.tools.wheels import GO


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTIONSERVICE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def coredns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """The family with a main.go of its own, in a copy that may be changed."""
    shutil.copytree(pins.MODULES / "coredns", tmp_path / "coredns")
    monkeypatch.setattr(pins, "MODULES", tmp_path)
    return FAMILIES["coredns"]


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_key_changes_with_every_file_that_decides_the_result(coredns: Family, changed: str) -> None:
    before = coredns.key
    with (coredns.folder / changed).open("a") as file:
        file.write("\n")

    assert coredns.key != before


def test_key_changes_with_flags_and_programs_but_not_with_the_estimate(coredns: Family) -> None:
    other = [
        replace(coredns, tags="x"),
        replace(coredns, stamps=("a.b=c",)),
        replace(coredns, programs={}),
        replace(coredns, experiments="x"),
    ]

    assert len({coredns.key, *(family.key for family in other)}) == 5
    assert replace(coredns, minutes=99).key == coredns.key


def test_every_family_has_a_module_with_sums_and_each_program_once() -> None:
    programs = [name for family in FAMILIES.values() for name in family.programs]

    assert len(programs) == len(set(programs))
    for family in FAMILIES.values():
        text = (family.folder / "go.mod").read_text()
        assert (family.folder / "go.sum").exists() == ("require" in text), family.name


def test_the_pinned_go_is_new_enough_for_every_module() -> None:
    """On a machine that has no Go it is the only one."""

    def version(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    for file in (*pins.MODULES.glob("*/go.mod"), Path(crds.__file__).parent / "go.mod"):
        wanted = next(line.split()[1] for line in file.read_text().splitlines() if line.startswith("go "))
        assert version(wanted) <= version(GO.version), f"{file.parent.name} needs Go {wanted}"


def test_prometheus_says_the_version_of_its_releases() -> None:
    assert re.fullmatch(r"3\.\d+\.\d+", prometheus_version())
    assert any(prometheus_version() in flag for flag in FAMILIES["prometheus"].flags)


def test_programs_are_stamped_with_the_pinned_version() -> None:
    version = pinned("kube", "k8s.io/kubernetes")

    assert version.startswith("v1.")
    assert any(f"gitVersion={version}" in flag for flag in FAMILIES["kube"].flags)


def test_unknown_module_is_named() -> None:
    with pytest.raises(LookupError, match=r"example.invalid/module is not in .*kube/go.mod"):
        pinned("kube", "example.invalid/module")


def test_unknown_program_names_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"no tool 'kubeadm': use one of .*kubectl"):
        family_of("kubeadm")


def test_unknown_family_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["build", "kube", "kubernetes"]) == 1
    assert "no tool family 'kubernetes': use one of etcd, kube" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PRODUCTIONSERVICE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/productionservice"),
        ({"HOME": "/c"}, "/c/.cache/productionservice"),
    ],
)
def test_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("PRODUCTIONSERVICE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert cache_dir() == Path(expected)


def test_two_who_want_the_same_make_it_once(tmp_path: Path) -> None:
    made: list[Path] = []
    both = threading.Barrier(2)

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "x").touch()

    def want() -> None:
        both.wait()
        make_once(tmp_path / "target", make)

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert (tmp_path / "target" / "x").exists()


def test_what_failed_half_way_is_not_seen(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise CommandError("compiler error")

    with pytest.raises(CommandError, match="compiler error"):
        make_once(tmp_path / "target", fail)

    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


@dataclass
class FakeGo:
    """A `go` of a given version, first in PATH."""

    folder: Path

    def says(self, version: str) -> str:
        program = self.folder / "go"
        program.write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
        program.chmod(0o755)
        return str(program)


def test_machine_s_own_go_is_used_when_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGo(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(builder, "wheel_program", lambda _: Path("/from/wheel"))
    choices = {}
    for version in ("go1.26.0", "go1.27rc1", "go1.25.9", "devel"):
        program = fake.says(version)
        builder.go.cache_clear()
        choices[version] = builder.go() == program
    builder.go.cache_clear()

    assert choices == {"go1.26.0": True, "go1.27rc1": True, "go1.25.9": False, "devel": False}


def test_trim_keeps_what_the_pins_name(capsys: pytest.CaptureFixture[str]) -> None:
    tools = cache_dir() / "tools"
    current, old = tools / FAMILIES["pause"].key, tools / "pause-000000000000"
    compiled = cache_dir() / "go" / "build" / "00"
    for folder in (current, old, compiled):
        folder.mkdir(parents=True)

    assert command_line.main(["trim"]) == 0
    assert (current.exists(), old.exists(), compiled.exists()) == (True, False, False)
    assert str(old) in capsys.readouterr().out
