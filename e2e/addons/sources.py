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


def folder_documents(folder: Path) -> list[Json]:
    """Objects of all YAML files of a folder, in the order of the files' names."""
    return [item for file in sorted(folder.glob("*.yaml")) for item in documents(file.read_text())]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen when it runs
    """In C where that is there: some projects' CRDs are megabytes."""


# YAML 1.1 has a type for `=`, which is an ordinary word in a list of operators. Nobody reads it in another way.
_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def documents(text: str) -> list[Json]:
    """Objects of a YAML text with several documents; empty ones are left out."""
    return [document for document in yaml.load_all(text, _Loader) if document]


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
