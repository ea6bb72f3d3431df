"""What runs of a cluster, as the kernel and the API server see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.ledger import open_ledger
from e2e.cluster.lifecycle import is_healthy
from e2e.cluster.processes import running
from e2e.cluster.rundir import RunDir

_MIB = 1024  # /proc counts in KiB


@dataclass(frozen=True)
class Usage:
    """One living process. `component` is the name of its log, or empty for what a component started."""

    pid: int
    component: str
    program: str
    rss: float
    """Resident memory, MiB. Shared pages count for each process that has them."""


def usages(run: RunDir) -> list[Usage]:
    """Living processes of a cluster, biggest first."""
    spec = run.spec()
    if spec is None:
        return []
    components = {process.pid: process.name for process in running(run)}
    found = [_usage(pid, components.get(pid, "")) for pid in open_ledger(spec, run).pids()]
    return sorted((usage for usage in found if usage), key=lambda usage: -usage.rss)


def state(run: RunDir) -> str:
    """`up`, `starting`, `not answering` or `down`, in words for people."""
    if not run.path.exists():
        return "down"
    if run.owner() is not None:
        return "starting"
    return "up" if is_healthy(run) else "not answering"


def dead_components(run: RunDir) -> list[str]:
    """Components that were started and do not run any more."""
    return [process.name for process in running(run) if not process.alive]


def _usage(pid: int, component: str) -> Usage | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Usage(pid, component, fields["Name"].strip(), int(fields.get("VmRSS", "0 kB").split()[0]) / _MIB)
