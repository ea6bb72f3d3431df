"""Findings that are accepted, each with its reason, in one file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from e2e.scan.checkov import Finding

FILE = Path(__file__).parent / "exceptions.yaml"


@dataclass(frozen=True)
class Accepted:
    """A check that may fail in some renderings. `subjects` is a shell pattern over their names."""

    check: str
    subjects: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """True when it is about this finding."""
        return finding.check == self.check and fnmatchcase(finding.subject, self.subjects)


def accepted() -> list[Accepted]:
    """All of exceptions.yaml."""
    return [Accepted(**entry) for entry in yaml.safe_load(FILE.read_text())]


def left(findings: Iterable[Finding], exceptions: Iterable[Accepted]) -> list[Finding]:
    """Findings that no exception covers."""
    known = list(exceptions)
    return [finding for finding in findings if not any(each.covers(finding) for each in known)]


def unneeded(findings: Iterable[Finding], exceptions: Iterable[Accepted]) -> list[Accepted]:
    """Exceptions that cover nothing."""
    found = list(findings)
    return [each for each in exceptions if not any(each.covers(finding) for finding in found)]
