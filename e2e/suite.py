"""`make test`: everything that has to hold, in order of cost, and what ran on what.

    python -m e2e.suite            all of it
    python -m e2e.suite --quick    without a cluster
    python -m e2e.suite --only node

Exit codes: 0 all passed, 1 something failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from e2e.cluster.providers import describe, provider
from e2e.images import docker
from e2e.progress import clock

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
_SPREAD = ("-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadscope")
"""Over a process a core; a module's tests stay together, for the fixtures that they share."""


@dataclass(frozen=True)
class Outcome:
    """What came of one stage. `failures` names each failed test or check; `skipped` is never silent."""

    passed: int
    failures: tuple[str, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One part of the suite. `on` says what it runs on, for the table at the end."""

    name: str
    on: Callable[[], str]
    run: Callable[[], Outcome]
    quick: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen stages, print the table, and return the exit code."""
    stages = _stages()
    parser = argparse.ArgumentParser(
        prog="python -m e2e.suite", description="Everything that has to hold.", epilog="example: make test"
    )
    parser.add_argument("--quick", action="store_true", help="only what needs no cluster")
    parser.add_argument("--only", choices=[s.name for s in stages], help="one stage")
    chosen = parser.parse_args(argv)
    wanted = [s for s in stages if (s.name == chosen.only if chosen.only else s.quick or not chosen.quick)]
    BUILD.mkdir(exist_ok=True)
    results = [(stage, *_timed(stage)) for stage in wanted]
    return _report(results, left_out=[s.name for s in stages if s not in wanted])


def _stages() -> list[Stage]:
    """Cheapest first: what fails in a minute must not be found after twenty."""
    return [
        Stage("lint", _python, _lint, quick=True),
        Stage(
            "unit",
            _python,
            lambda: _pytest("unit", "not api and not node and not nodes", _SPREAD),
            quick=True,
        ),
        Stage("api", lambda: _cluster("api"), lambda: _pytest("api", "api", _own_clusters())),
        Stage("node", lambda: _cluster("node"), lambda: _pytest("node", "node")),
        Stage("nodes", lambda: _cluster("nodes"), lambda: _pytest("nodes", "nodes")),
    ]


def _timed(stage: Stage) -> tuple[Outcome, str]:
    print(f"\n══ {stage.name}: {stage.on()}", flush=True)
    started = time.monotonic()
    return stage.run(), clock(started)


def _lint() -> Outcome:
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy", "operator", "service", "e2e", "tests", "benchmarks"],
        "import contracts": ["lint-imports"],
        "generated files": ["python", "-m", "productionservice.cli", "generate", "--check"],
    }
    failures = []
    programs = Path(sys.executable).parent
    for name, (program, *arguments) in checks.items():
        print(f"── {name}", flush=True)
        if subprocess.run([programs / program, *arguments], cwd=ROOT, check=False).returncode:
            failures.append(f"lint: {name}")
    return Outcome(len(checks) - len(failures), tuple(failures))


def _own_clusters() -> Sequence[str]:
    """Each process has an API server of its own: two operators on one would do each other's work."""
    return _SPREAD if provider() == "ours" else ()


def _pytest(stage: str, marker: str, options: Sequence[str] = ()) -> Outcome:
    report = BUILD / f"junit-{stage}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "tests", "e2e", "-m", marker, f"--junitxml={report}"]
    finished = subprocess.run([*command, "--durations=5", *options], cwd=ROOT, check=False)
    if not report.exists():
        return Outcome(0, (f"{stage}: pytest ended with {finished.returncode} before it ran a test",))
    outcome = _read(report)
    if finished.returncode and not outcome.failures:
        return Outcome(
            outcome.passed, (f"{stage}: pytest ended with {finished.returncode}",), outcome.skipped
        )
    return outcome


def _read(report: Path) -> Outcome:
    """Counts and names out of pytest's own report."""
    passed, failures, skipped = 0, [], []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    return Outcome(passed, tuple(failures), tuple(skipped))


def _python() -> str:
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _cluster(level: str) -> str:
    return f"{describe(level)}, {os.cpu_count()} cores"


def _report(results: list[tuple[Stage, Outcome, str]], *, left_out: list[str]) -> int:
    """The table, what did not run, and one closing line."""
    width = max(len(stage.on()) for stage, _, _ in results)
    print("\n══ what ran on what")
    for stage, outcome, took in results:
        verdict = "FAILED" if outcome.failures else "ok"
        counts = f"{outcome.passed} passed, {len(outcome.failures)} failed"
        print(f"{stage.name:8} {stage.on():{width}}  {counts:24} {took:>10}  {verdict}")
    skipped = [name for _, outcome, _ in results for name in outcome.skipped]
    not_run = [*[f"stage {name}" for name in left_out], *skipped, *_machine_gaps()]
    print("not run here: " + ("; ".join(not_run) if not_run else "nothing"))
    failures = [name for _, outcome, _ in results for name in outcome.failures]
    for name in failures:
        print(f"FAILED {name}")
    passed = sum(outcome.passed for _, outcome, _ in results)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or skipped else 0


def _machine_gaps() -> list[str]:
    """What this machine cannot exercise at all, by name."""
    gaps = []
    if provider() != "ours":
        gaps.append("tests marked `inside` (they are about the inside of our own clusters)")
        gaps.append("the count of denied calls in e2e/test_network.py (it is kube-router's)")
    if not docker.answers():
        gaps.append("the kind path (no Docker answers; the same command runs it where one does)")
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        gaps.append("the cgroup v2 ledger of e2e/cluster (this machine has cgroup v1)")
    return gaps


if __name__ == "__main__":
    sys.exit(main())
