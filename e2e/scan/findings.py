"""What scanners find, and how each of them is asked: files in, JSON out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.progress import CommandError


@dataclass(frozen=True, order=True)
class Finding:
    """One check that one object does not pass. `check` is the scanner's id, such as `CKV_K8S_20`."""

    subject: str
    check: str
    resource: str
    says: str


@dataclass(frozen=True)
class Scan:
    """What came of a scan: how many checks passed, and what did not."""

    passed: int
    findings: tuple[Finding, ...]


def write(folder: Path, subjects: Mapping[str, list[dict[str, Any]]]) -> None:
    """One YAML file a subject, by its name."""
    for name, objects in subjects.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))


def answer_of(scanner: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Any:
    """What a scanner prints as JSON, whatever its exit code. Raises CommandError when it prints none."""
    finished = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    try:
        return json.loads(finished.stdout)
    except json.JSONDecodeError as error:
        reason = (finished.stderr.strip().splitlines() or ["without a word"])[-1]
        raise CommandError(f"{scanner} ended with {finished.returncode}: {reason}") from error
