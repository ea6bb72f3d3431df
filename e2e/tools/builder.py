"""Builds families into the cache, once for each content of their pins."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from e2e.cache import cache_folder, locked
from e2e.progress import CommandError, step
from e2e.tools.families import FAMILIES, Family
from e2e.tools.golang import go_program


def installed(family: Family) -> Path:
    """Folder of the family's programs for the pins as they are now. May not exist yet."""
    return cache_folder() / "tools" / f"{family.name}-{family.key()}"


def ensure(names: Iterable[str]) -> None:
    """Build what is missing of these families, one after the other: each uses all cores."""
    missing = [FAMILIES[name] for name in names if not installed(FAMILIES[name]).exists()]
    for number, family in enumerate(missing, 1):
        programs = ", ".join(family.programs)
        title = (
            f"building {number} of {len(missing)}: {programs} (about {family.minutes:.0f} min on two cores)"
        )
        with step(title), locked(cache_folder() / "tools" / f"{family.name}.lock"):
            if not installed(family).exists():
                _build(family)


def tool(program: str) -> Path:
    """Path of one program, built first if need be."""
    family = next((f for f in FAMILIES.values() if program in f.programs), None)
    if family is None:
        known = ", ".join(sorted(p for f in FAMILIES.values() for p in f.programs))
        raise CommandError(f"no tool is called {program!r}: there are {known}")
    ensure([family.name])
    return installed(family) / program


def trim() -> int:
    """Remove builds of older pins and Go's build cache. Bytes freed."""
    keep = {installed(family) for family in FAMILIES.values()}
    old = [p for p in (cache_folder() / "tools").glob("*-*") if p.is_dir() and p not in keep]
    freed = 0
    for folder in [*old, _go_folder() / "build"]:
        freed += sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def _go_folder() -> Path:
    return cache_folder() / "go"


def _build(family: Family) -> None:
    target = installed(family)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # Under its final name only when it is whole.
        output = Path(scratch) / "bin"
        output.mkdir()
        for program, package in zip(family.programs, family.targets, strict=True):
            # One target at a time names each program; the second one finds its dependencies compiled.
            _go_build(family, package, output / program)
        output.rename(target)


def _go_build(family: Family, package: str, output: Path) -> None:
    command = [
        go_program(), "build", "-trimpath", f"-tags={','.join(family.tags)}",
        f"-ldflags={family.linker_flags()}", "-o", output, package,
    ]  # fmt: skip
    finished = subprocess.run(
        command, cwd=family.folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if finished.returncode:
        last = finished.stderr.strip().splitlines()[-1:]
        raise CommandError(f"go build of {output.name} in {family.folder} failed: {''.join(last)}")


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(_go_folder() / "build"),
        "GOMODCACHE": str(_go_folder() / "mod"),
    }
