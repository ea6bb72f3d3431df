"""Findings that are accepted: decisions, each with its reason, in one file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from e2e.scan.findings import Finding

FILE = Path(__file__).parent / "exceptions.yaml"


@dataclass(frozen=True)
class Accepted:
    """A check that may fail in some renderings. `subjects` are shell patterns over their names."""

    check: str
    subjects: tuple[str, ...]

    def covers(self, finding: Finding) -> bool:
        """True when it is about this finding."""
        wanted = any(fnmatchcase(finding.subject, pattern) for pattern in self.subjects)
        return finding.check == self.check and wanted


@dataclass(frozen=True)
class Decision:
    """What is done otherwise than scanners ask: one exception, however many of them ask for the same."""

    decision: str
    reason: str
    accepted: tuple[Accepted, ...]


def decisions() -> list[Decision]:
    """All of exceptions.yaml."""
    return [
        Decision(
            entry["decision"],
            entry["reason"],
            tuple(
                Accepted(check, tuple(subjects))
                for checks in entry["checks"].values()
                for check, subjects in checks.items()
            ),
        )
        for entry in yaml.safe_load(FILE.read_text())
    ]


def accepted(made: Sequence[Decision]) -> list[Accepted]:
    """The checks that these decisions accept."""
    return [each for decision in made for each in decision.accepted]


def left(findings: Iterable[Finding], exceptions: Iterable[Accepted]) -> list[Finding]:
    """Findings that no exception covers."""
    known = list(exceptions)
    return [finding for finding in findings if not any(each.covers(finding) for each in known)]


def unneeded(findings: Iterable[Finding], exceptions: Iterable[Accepted]) -> list[tuple[str, str]]:
    """Checks and patterns of exceptions that cover nothing."""
    found = list(findings)
    patterns = [Accepted(each.check, (pattern,)) for each in exceptions for pattern in each.subjects]
    return [
        (each.check, each.subjects[0])
        for each in patterns
        if not any(each.covers(finding) for finding in found)
    ]
