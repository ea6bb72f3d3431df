"""Debian packages that the cluster and the image builder use, installed when they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.progress import CommandError, step

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Users' own PATH often lacks the system folders, where Debian keeps network tools."""


def need(programs: Mapping[str, str]) -> None:
    """Install the packages of the missing `programs` (program or absolute path → package).

    Raises CommandError, naming the packages, when this is no Debian-family machine or we are not root.
    """
    missing = sorted({package for program, package in programs.items() if not _there(program)})
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CommandError(
            f"missing on this machine: {names}; install them (on Debian: apt-get install {names})"
        )
    with step(f"installing Debian packages: {names}"):
        _apt("update", "-q")
        _apt("install", "-qy", "--no-install-recommends", *missing)


def _there(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=SYSTEM_PATH) is not None


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    finished = subprocess.run(
        ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        last = (finished.stderr.strip() or finished.stdout.strip()).splitlines()[-1:]
        raise CommandError(f"apt-get {' '.join(arguments)} failed: {''.join(last)}")
