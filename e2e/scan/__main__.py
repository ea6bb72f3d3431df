"""`make scan`: other people's scanners over every golden rendering of services and of the chart.

Exit codes: 0 every goal reached, 1 one was missed or a scanner did not run, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.figures import Figure, report
from e2e import crds
from e2e.cluster.providers import open_cluster
from e2e.progress import CommandError, step
from e2e.scan.checkov import Finding, Scan, scan
from e2e.scan.exceptions import accepted, left, unneeded
from e2e.scan.kubeconform import conform
from e2e.scan.subjects import Json, subjects

EXCEPTIONS_GOAL = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Scan, print what was found and the figures, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.scan",
        description="checkov and kubeconform over every golden rendering; kubeconform with the schemas of an API "
        "server that is started for it. What is accepted is in e2e/scan/exceptions.yaml.",
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
    conforming = _conforming(scanned)
    findings, idle = left(result.findings, exceptions), unneeded(result.findings, exceptions)
    _print([*findings, *conforming.findings])
    for each in idle:
        print(f"exceptions.yaml: {each.check} in {each.subjects} is not needed any more: remove it")
    figures = [
        Figure("scan_checks_passed", result.passed, "checks"),
        Figure("scan_objects_conforming", conforming.passed, "objects"),
        Figure("scan_findings", len(findings) + len(conforming.findings), "findings", 0, at_most=True),
        Figure("scan_exceptions", len(exceptions), "checks", EXCEPTIONS_GOAL, at_most=True),
        Figure("scan_exceptions_unneeded", len(idle), "checks", 0, at_most=True),
    ]
    return report("scan", figures, {"renderings": sorted(scanned), "scanners": ["checkov", "kubeconform"]})


def _conforming(scanned: dict[str, list[Json]]) -> Scan:
    cluster = open_cluster("scan", "api")
    try:
        cluster.create()
        crds.install(cluster, "prometheus-operator", "servicemonitors")
        with step(f"kubeconform over {len(scanned)} renderings"):
            return conform(scanned, cluster)
    finally:
        cluster.delete()


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.subject}: {finding.resource}: {finding.check} {finding.says}")


if __name__ == "__main__":
    sys.exit(main())
