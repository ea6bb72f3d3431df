"""Build families of tools into the cache, each at most once per content of its pins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from e2e.progress import CommandError, step
from e2e.tools.cache import cache_dir, locked, make_once
from e2e.tools.pins import FAMILIES, Family, family_of
from e2e.tools.wheels import GO, wheel_program

_OLDEST_GO = (1, 26)


def tool(program: str) -> Path:
    """Path of a program such as `kubectl` or `helm`, built on first use (minutes, with progress)."""
    family = family_of(program)
    ensure([family.name])
    return _bin(family) / program


def ensure(names: Iterable[str]) -> None:
    """Build those of the families that are not in the cache. Raises CommandError when a build fails."""
    wanted = list(names)
    if unknown := [name for name in wanted if name not in FAMILIES]:
        raise CommandError(f"no tool family {unknown[0]!r}: use one of {', '.join(FAMILIES)}")
    missing = [FAMILIES[name] for name in wanted if not _bin(FAMILIES[name]).exists()]
    for number, family in enumerate(missing, 1):
        _build_once(family, f"{number} of {len(missing)}")


def trim() -> None:
    """Remove families of older pins and Go's build and module caches (GBs); finished programs stay."""
    keep = {family.key for family in FAMILIES.values()}
    for folder in sorted((cache_dir() / "tools").glob("*")):
        if folder.name not in keep:
            print(f"removing {folder}")
            shutil.rmtree(folder)
    with locked("go.lock"):
        for folder in (cache_dir() / "go" / "build", cache_dir() / "go" / "mod"):
            if folder.exists():
                print(f"removing {folder}")
                _remove_read_only(folder)


def _bin(family: Family) -> Path:
    return cache_dir() / "tools" / family.key / "bin"


def _build_once(family: Family, position: str) -> None:
    programs = ", ".join(family.programs)
    title = f"building {position}: {family.name} ({programs}; {_duration(family)} on two idle cores)"
    make_once(
        _bin(family).parent,
        lambda folder: _build(family, folder / "bin", title),
        waiting=lambda: print(f"another process builds {family.name}; waiting for it …", flush=True),
    )


def _duration(family: Family) -> str:
    return f"about {family.minutes:g} min" if family.minutes >= 1 else f"about {family.minutes * 60:.0f} s"


def _build(family: Family, target: Path, title: str) -> None:
    target.mkdir()
    # One build at a time: a second one would only take cores and memory from the first.
    with locked("go.lock"), step(title):
        for output, packages in _outputs(family, target).items():
            command = [go(), "build", *family.flags, "-o", output, *packages]
            surroundings = {**go_environment(), "GOEXPERIMENT": family.experiments}
            finished = subprocess.run(
                command, cwd=family.folder, env=surroundings, capture_output=True, text=True, check=False
            )
            if finished.returncode:
                shown = "\n".join(finished.stderr.strip().splitlines()[-20:])
                raise CommandError(
                    f"go build of {family.name} failed:\n{shown}\n"
                    f"repeat it with: python -m e2e.tools build {family.name}"
                )


def _outputs(family: Family, target: Path) -> dict[str, list[str]]:
    """Arguments of -o → packages.

    Go names a program after its folder; one that we name otherwise is built by itself.
    """
    outputs: dict[str, list[str]] = {}
    for program, package in family.programs.items():
        named_by_go = package.rsplit("/", 1)[-1] == program
        outputs.setdefault(f"{target}/" if named_by_go else f"{target / program}", []).append(package)
    return outputs


def go_environment() -> dict[str, str]:
    """Settings that make a build the same on every machine, whatever the user has set."""
    return {
        **os.environ,
        "GOFLAGS": "-mod=readonly",
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOCACHE": str(cache_dir() / "go" / "build"),
        "GOMODCACHE": str(cache_dir() / "go" / "mod"),
    }


@cache
def go() -> str:
    """The machine's Go when it is new enough, else the pinned wheel's."""
    found = shutil.which("go")
    if found and _go_version(found) >= _OLDEST_GO:
        return found
    return str(wheel_program(GO))


def _go_version(program: str) -> tuple[int, int]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    command = [program, "version"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    match = re.search(r"\bgo(\d+)\.(\d+)", finished.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _remove_read_only(folder: Path) -> None:
    """Go makes its module cache read-only; a user who is not root cannot remove it as it is."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
    shutil.rmtree(folder)
