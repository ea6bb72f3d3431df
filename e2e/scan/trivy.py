"""The Kubernetes checks of `trivy config`, those that trivy carries in itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.scan.findings import Finding, Scan, answer_of, write
from e2e.tools import tool
from e2e.tools.pins import KUBERNETES

REGISTRIES = ("registry.example", "registry.example:5000", "docker.io")
"""Where the renderings' images come from. Which registries are trusted is the user's to say; unsaid, those of clouds
are, and no other."""


def examine(subjects: Mapping[str, list[dict[str, Any]]]) -> Scan:
    """Check each subject's objects. Raises CommandError when the program does not run."""
    with tempfile.TemporaryDirectory() as name:
        manifests, data = Path(name) / "manifests", Path(name) / "data"
        manifests.mkdir()
        data.mkdir()
        write(manifests, subjects)
        told = {
            "ksv0125": {"trusted_registries": REGISTRIES},
            "k8s": {"version": KUBERNETES.removeprefix("v")},
        }
        (data / "data.json").write_text(json.dumps(told))
        answer = answer_of("trivy", [str(tool("trivy-kubernetes")), str(manifests), str(data)])
    found = {
        Finding(Path(each["file"]).stem, each["id"], each["severity"], each["message"])
        for each in answer["findings"]
    }
    return Scan(answer["passed"], tuple(sorted(found)))
