"""Start daemons, and tell in one message which of them failed and why."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from e2e.cluster.ledger import Ledger
from e2e.cluster.rundir import RunDir
from e2e.packages import SYSTEM_PATH
from e2e.progress import CommandError

T = TypeVar("T")
_TAIL = 20  # lines of a failed component's log that are shown

# Starts the program as an orphan in a session of its own, so that neither a closed terminal nor the end of
# the starting process touches it, and prints its id. `exec` all the way: the id stays that of the program.
_DETACH = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!'
_ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Process:
    """A daemon of the cluster."""

    name: str
    pid: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it runs; one that is dead and not yet waited for does not."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False


class ComponentError(CommandError):
    """A component failed or did not get ready in time. `component` names its log."""

    def __init__(self, what: str, component: str) -> None:
        super().__init__(what)
        self.component = component


class AbortedError(CommandError):
    """Something else has failed already; this is not the cause."""


@dataclass
class Startup:
    """One start of a cluster: spawns its daemons, watches them while it waits, and prints milestones."""

    run: RunDir
    ledger: Ledger
    report: Callable[[str], None] = lambda text: print(text, flush=True)
    processes: list[Process] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    def milestone(self, text: str) -> None:
        """Print what has been reached, with the seconds since the start."""
        self.report(f"  {time.monotonic() - self.started:5.1f} s  {text}")

    def spawn(self, name: str, command: Sequence[str | Path], *, part: str, netns: str = "") -> Process:
        """Start a daemon in `part` of the ledger and in a network namespace. Its log is called `name`."""
        inside = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        entries = self.ledger.entries(part)
        log = self.run.logs / f"{name}.log"
        finished = subprocess.run(
            ["sh", "-c", _DETACH, "sh", log, "sh", "-c", _ENTER, "sh", *entries, "--", *inside, *command],
            cwd=self.run.path, env=self._environment(), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        process = Process(name, int(finished.stdout), log)
        (self.run.pids / name).write_text(str(process.pid))
        self.processes.append(process)
        return process

    def wait(
        self,
        what: str,
        check: Callable[[], T | None],
        *,
        blame: str,
        timeout: float = 60,
        interval: float = 0.05,
    ) -> T:
        """Poll `check` until it gives something true, and return that.

        Raises ComponentError as soon as a daemon ends, or when it takes longer than `timeout` seconds (then
        the component `blame` is shown). An exception in `check` counts as not yet.
        """
        deadline = time.monotonic() + timeout
        problem = "it never answered"
        while True:
            try:
                if result := check():
                    return result
            except Exception as error:  # noqa: BLE001  # refused, reset, half an answer: all of it is "not yet"
                problem = f"{type(error).__name__}: {error}"
            if self.failed.is_set():
                raise AbortedError(f"gave up waiting for {what}: another part failed")
            for process in list(self.processes):
                if not process.alive:
                    raise ComponentError(f"{process.name} ended while waiting for {what}", process.name)
            if time.monotonic() > deadline:
                raise ComponentError(f"no {what} after {timeout:.0f} s ({problem})", blame)
            time.sleep(interval)

    def together(self, *tasks: Callable[[], object]) -> None:
        """Run tasks side by side. When one fails the others stop waiting, and its error is raised."""
        with ThreadPoolExecutor(len(tasks)) as pool:
            futures = [pool.submit(self._or_fail_all, task) for task in tasks]
        errors = [error for future in futures if (error := future.exception())]
        causes = [error for error in errors if not isinstance(error, AbortedError)]
        if errors:
            raise (causes or errors)[0]

    def _or_fail_all(self, task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException:
            self.failed.set()
            raise

    def _environment(self) -> dict[str, str]:
        """Little of the user's own environment, so that a start is the same for everyone."""
        proxies = {k: v for k, v in os.environ.items() if k.lower() == "no_proxy"}
        return {"PATH": SYSTEM_PATH, "HOME": str(self.run.path), **proxies, **self.ledger.environment()}


def running(run: RunDir) -> list[Process]:
    """Daemons of a cluster, dead ones too, in the order of their names."""
    files = sorted(run.pids.iterdir()) if run.pids.exists() else []
    return [Process(f.name, int(f.read_text() or 0), run.logs / f"{f.name}.log") for f in files]


def explain(failure: ComponentError, folder: Path) -> str:
    """The failure, the end of the component's log and where all of it is. `folder` holds the logs."""
    log = folder / f"{failure.component}.log"
    lines = log.read_text(errors="replace").splitlines()[-_TAIL:] if log.exists() else ["(no log)"]
    shown = "\n".join(f"  | {line[:400]}" for line in lines)
    return f"{failure}\n  last lines of {failure.component}:\n{shown}\nread the whole log: {log}"
