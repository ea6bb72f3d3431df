"""kube-score over each rendering by itself: it compares the objects of one with each other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e.scan.findings import Finding, Scan, answer_of, write
from e2e.tools import tool
from e2e.tools.pins import KUBERNETES

_BEST = 10
# The decision against CPU limits, by the scanner's own switch: its check is about memory and requests too.
_SWITCHES = ("--ignore-container-cpu-limit",)


def score(subjects: Mapping[str, list[dict[str, Any]]]) -> Scan:
    """Check each subject's objects; whatever is not graded best is a finding. Raises CommandError."""
    passed = 0
    findings: list[Finding] = []
    version = ".".join(KUBERNETES.split(".")[:2])
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), subjects)
        for subject in subjects:
            command = [
                str(tool("kube-score")), "score", "--output-format", "json", "--kubernetes-version", version,
                *_SWITCHES, str(Path(folder) / f"{subject}.yaml"),
            ]  # fmt: skip
            for each in answer_of("kube-score", command) or ():
                failed = list(_failed(subject, each))
                findings += failed
                passed += sum(not check["skipped"] for check in each["checks"]) - len(failed)
    return Scan(passed, tuple(sorted(set(findings))))


def _failed(subject: str, scored: Mapping[str, Any]) -> Iterator[Finding]:
    for check in scored["checks"]:
        if not check["skipped"] and check["grade"] < _BEST:
            says = "; ".join(sorted({comment["summary"] for comment in check["comments"] or ()}))
            yield Finding(
                subject, check["check"]["id"], scored["object_name"], says or check["check"]["name"]
            )
