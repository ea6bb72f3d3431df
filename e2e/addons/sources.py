"""Manifests as the projects themselves publish them, out of the Go modules that are pinned here anyway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from e2e.progress import CommandError
from e2e.tools import tool
from e2e.tools.builder import go, go_environment
from e2e.tools.cache import locked
from e2e.tools.pins import MODULES, pinned

Json = dict[str, Any]


def module_folder(family: str, module: str) -> Path:
    """Folder with the module's files, of the version in the family's go.mod; downloaded on first use.

    Raises CommandError when the download fails.
    """
    command = [go(), "mod", "download", "-json", f"{module}@{pinned(family, module)}"]
    with locked("go.lock"):
        finished = subprocess.run(
            command, cwd=MODULES / family, env=go_environment(), capture_output=True, text=True, check=False
        )
    answer = json.loads(finished.stdout or "{}")
    if finished.returncode or "Dir" not in answer:
        reason = answer.get("Error") or finished.stderr.strip()
        raise CommandError(f"{module} could not be downloaded: {reason}; try again, or look at the network")
    return Path(answer["Dir"])


def kustomized(folder: Path) -> list[Json]:
    """Objects of a kustomization. Raises CommandError."""
    command = [str(tool("kubectl")), "kustomize", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommandError(f"kubectl kustomize {folder} failed: {finished.stderr.strip()}")
    return documents(finished.stdout)


def documents(text: str) -> list[Json]:
    """Objects of a YAML text with several documents; empty ones are left out."""
    return [document for document in yaml.safe_load_all(text) if document]


def one(manifests: list[Json], kind: str, name: str) -> Json:
    """The only object of that kind and name. Raises LookupError when upstream has none (any more)."""
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    if len(found) != 1:
        raise LookupError(f"{len(found)} objects are {kind} {name}, not one: did the project rename it?")
    return found[0]


def container(deployment: Json) -> Json:
    """The first container of a Deployment or StatefulSet."""
    first: Json = deployment["spec"]["template"]["spec"]["containers"][0]
    return first
