"""checkov, in an environment of its own: its hundred packages must not decide the versions of ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.progress import CommandError, step
from e2e.scan.findings import Finding, Scan, answer_of, write
from e2e.tools.cache import cache_dir, make_once

LOCK = Path(__file__).parent / "requirements.txt"


def scan(subjects: Mapping[str, list[dict[str, Any]]]) -> Scan:
    """Check each subject's objects. Raises CommandError when checkov does not run or could not read one."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), subjects)
        answer = _run(Path(folder))
    summary = answer.get("summary")
    if not summary or summary["parsing_errors"]:
        raise CommandError(f"checkov could not read what it was given: {json.dumps(answer)[:300]}")
    failed = (
        Finding(
            Path(each["file_path"]).stem,
            each["check_id"],
            each["resource"],
            each["check_name"],
        )
        for each in answer["results"]["failed_checks"]
    )
    return Scan(summary["passed"], tuple(sorted(set(failed))))


def _run(folder: Path) -> dict[str, Any]:
    command = [
        str(_environment() / "bin" / "python"), "-m", "checkov.main", "--directory", str(folder),
        "--framework", "kubernetes", "--output", "json", "--quiet", "--compact", "--skip-download",
    ]  # fmt: skip
    surroundings = {**os.environ, "LOG_LEVEL": "ERROR", "PYTHONPATH": ""}
    answer: dict[str, Any] = answer_of("checkov", command, env=surroundings)
    return answer


def _environment() -> Path:
    """Folder of the environment, made on first use."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return make_once(cache_dir() / "wheels" / f"checkov-{digest}", _install)


def _install(folder: Path) -> None:
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [
            str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--require-hashes", "--requirement", str(LOCK),
        ],
    )  # fmt: skip
    with step("installing checkov from the Python package index"):
        for command in commands:
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise CommandError(
                    f"checkov could not be installed: {reason}; look at the network, try again"
                )
