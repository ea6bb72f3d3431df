"""conftest, with policies of ours (`policies/*.rego`): what a workload promises that no scanner of others asks for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.scan.findings import Finding, Scan, answer_of, write
from e2e.tools import tool

POLICIES = Path(__file__).parent / "policies"


def comply(subjects: Mapping[str, list[dict[str, Any]]]) -> Scan:
    """Check each subject's objects. Raises CommandError when conftest does not run."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), subjects)
        command = [str(tool("conftest")), "test", "--output", "json", "--policy", str(POLICIES), folder]
        answer = answer_of("conftest", command)
    found = (
        Finding(
            Path(each["filename"]).stem,
            failure["metadata"]["query"].rpartition(".")[2],
            *_said(failure["msg"]),
        )
        for each in answer
        for failure in each.get("failures", ())
    )
    return Scan(sum(each["successes"] for each in answer), tuple(sorted(found)))


def _said(message: str) -> tuple[str, str]:
    """Each policy says `KIND NAME: what is wrong`."""
    resource, _, says = message.partition(": ")
    return resource, says
