"""Helm, the pinned one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from e2e.progress import CommandError
from e2e.tools import tool


class HelmError(CommandError):
    """Helm failed. The message is its last line; `stderr` holds everything it said."""

    def __init__(self, command: str, stderr: str) -> None:
        super().__init__(f"helm {command} failed: {(stderr.strip().splitlines() or ['without a word'])[-1]}")
        self.stderr = stderr


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """Output of Helm, with `values` as its values file if given. Raises HelmError."""
    command = [str(tool("helm")), *arguments, *(["--values", "-"] if values is not None else [])]
    finished = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    if finished.returncode:
        raise HelmError(arguments[0], finished.stderr)
    return finished.stdout
