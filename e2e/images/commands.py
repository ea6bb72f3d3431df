"""Programs that build: what they print is kept for the one who has to find out why they failed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from e2e.progress import CommandError
from e2e.tools import cache_dir


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Output of a program. Raises CommandError with its last lines, and where to find all of them."""
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        log = cache_dir() / "images" / "failed.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{' '.join(command)}\n{finished.stdout}{finished.stderr}")
        lines = [line.strip() for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
        raise CommandError(
            f"{_program(command)} failed: {' | '.join(lines[-3:])} (all it said: {log}; try again once that is mended)"
        )
    return finished.stdout


def succeeds(command: Sequence[str], environment: Mapping[str, str] | None = None) -> bool:
    """Whether a program ends well; what it prints is of no interest."""
    return not subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def _program(command: Sequence[str]) -> str:
    return "buildah" if command[0] == "unshare" else command[0]
