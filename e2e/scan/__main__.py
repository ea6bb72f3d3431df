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
from e2e.scan.checkov import scan
from e2e.scan.conftest_policies import comply
from e2e.scan.exceptions import accepted, decisions, left, unneeded
from e2e.scan.findings import Finding, Scan
from e2e.scan.kube_score import score
from e2e.scan.kubeconform import conform
from e2e.scan.subjects import Json, subjects
from e2e.scan.trivy import examine

SCANNERS = ("checkov", "kubeconform", "kube-score", "conftest", "trivy")
EXCEPTIONS = 9
"""How many decisions are accepted: at most as many as there are (docs/scanning.md says why they are not fewer)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Scan, print what was found and the figures, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.scan",
        description=f"{', '.join(SCANNERS)} over every golden rendering; kubeconform with the schemas of an API "
        "server that is started for it, conftest with e2e/scan/policies. What is accepted is in "
        "e2e/scan/exceptions.yaml.",
        epilog="example: make scan",
    )
    parser.parse_args(argv)
    try:
        return _scanned()
    except CommandError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


def _scanned() -> int:
    scanned, made = subjects(), decisions()
    exceptions = accepted(made)
    scans = {"kubeconform": _conforming(scanned)}
    for name, check in (("checkov", scan), ("kube-score", score), ("conftest", comply), ("trivy", examine)):
        with step(f"{name} over {len(scanned)} renderings"):
            scans[name] = check(scanned)
    found = [finding for name in SCANNERS for finding in scans[name].findings]
    findings, idle = left(found, exceptions), unneeded(found, exceptions)
    _print(findings)
    for needless, pattern in idle:
        print(f"exceptions.yaml: {needless} in {pattern} is not needed any more: remove it")
    figures = [
        *(Figure(f"scan_passed_{name}", scans[name].passed, "checks") for name in SCANNERS),
        Figure("scan_findings", len(findings), "findings", 0, at_most=True),
        Figure("scan_exceptions", len(made), "decisions", EXCEPTIONS, at_most=True),
        Figure("scan_exceptions_checks", len(exceptions), "checks"),
        Figure("scan_exceptions_unneeded", len(idle), "checks", 0, at_most=True),
    ]
    return report("scan", figures, {"renderings": sorted(scanned), "scanners": SCANNERS})


def _conforming(scanned: dict[str, list[Json]]) -> Scan:
    cluster = open_cluster("scan", "api")
    try:
        cluster.create()
        crds.install_every_kind(cluster)
        with step(f"kubeconform over {len(scanned)} renderings"):
            return conform(scanned, cluster)
    finally:
        cluster.delete()


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.subject}: {finding.resource}: {finding.check} {finding.says}")


if __name__ == "__main__":
    sys.exit(main())
