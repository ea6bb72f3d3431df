"""`make scan`: other people's scanners over every golden rendering of services and of the chart.

Exit codes: 0 every goal reached, 1 one was missed or a scanner did not run, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.figures import Figure, report
from e2e.progress import CommandError, step
from e2e.scan.checkov import scan
from e2e.scan.exceptions import accepted, left, unneeded
from e2e.scan.subjects import subjects

EXCEPTIONS_GOAL = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Scan, print what was found and the figures, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.scan",
        description="checkov over every golden rendering; what is accepted is in e2e/scan/exceptions.yaml.",
        epilog="example: make scan",
    )
    parser.parse_args(argv)
    try:
        return _scanned()
    except CommandError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


def _scanned() -> int:
    scanned, exceptions = subjects(), accepted()
    with step(f"checkov over {len(scanned)} renderings"):
        result = scan(scanned)
    findings, idle = left(result.findings, exceptions), unneeded(result.findings, exceptions)
    for finding in findings:
        print(f"{finding.subject}: {finding.resource}: {finding.check} {finding.says}")
    for each in idle:
        print(f"exceptions.yaml: {each.check} in {each.subjects} is not needed any more: remove it")
    figures = [
        Figure("scan_checks_passed", result.passed, "checks"),
        Figure("scan_findings", len(findings), "findings", 0, at_most=True),
        Figure("scan_exceptions", len(exceptions), "checks", EXCEPTIONS_GOAL, at_most=True),
        Figure("scan_exceptions_unneeded", len(idle), "checks", 0, at_most=True),
    ]
    return report("scan", figures, {"renderings": sorted(scanned), "scanners": ["checkov"]})


if __name__ == "__main__":
    sys.exit(main())
