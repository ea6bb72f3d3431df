"""The operator as the faults meet it: the real one, less patient, and behind the proxy."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from e2e.eventually import eventually
from e2e.faults.proxy import FaultProxy
from tests.api.operator_process import OperatorProcess

REQUEST_SECONDS, SILENCE_SECONDS, LATE_SECONDS, STREAM_SECONDS = 2.0, 3.0, 2.0, 4.0
"""Instead of 15, 70, 15 and 120: the same code gives up sooner, so that a fault takes seconds to show."""
SETTINGS = {"RESYNC_SECONDS": "10", "RELIST_SECONDS": "10", "LEADER_ELECTION": "false"}
"""Of a single replica: one that was killed does not have to wait for its own Lease."""
_IMPATIENT = f"""
import sys
from productionservice.engine import client, health, stream
client.REQUEST_SECONDS, client.SILENCE_SECONDS = float(sys.argv[1]), {SILENCE_SECONDS}
stream.LATE_SECONDS, health.STREAM_SECONDS = {LATE_SECONDS}, {STREAM_SECONDS}
from productionservice import main
sys.exit(main.main([]))
"""


@dataclass
class FaultyOperator(OperatorProcess):
    """One replica that reaches the API server through a proxy."""

    proxy: FaultProxy | None = None
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    request_seconds: float = REQUEST_SECONDS
    """Until it gives up on a request."""
    wrapper: tuple[str, ...] = ()
    """Program that starts it, such as faketime."""
    reader: subprocess.Popen[bytes] | None = None
    """What takes its output, where that goes through a pipe."""

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            output = log if self.reader is None else self.reader.stdin
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-c", _IMPATIENT, str(self.request_seconds)],
                stdout=output,
                stderr=output,
                env={**os.environ, **self._environment()},
            )
        if wait:
            eventually(self.check_ready, timeout=30)

    @contextlib.contextmanager
    def through_a_pipe(self) -> Iterator[subprocess.Popen[bytes]]:
        """From the next start on the output goes through a pipe, as to a container runtime; gives what reads it."""
        with self.log.open("ab") as log:
            self.reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        try:
            yield self.reader
        finally:
            self.reader.kill()
            self.reader.wait(10)
            assert self.reader.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self.reader.stdin.close()
            self.reader = None

    def freeze(self) -> None:
        """As a machine that does not get to it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on where it was stopped."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def again(self) -> None:
        """Start it anew unless it runs: what its Deployment would do."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def twin(self, folder: Path, proxy: FaultProxy) -> FaultyOperator:
        """A second replica of the same installation, through a proxy of its own."""
        twin = FaultyOperator(self.cluster, self.home, folder, dict(self.settings), proxy=proxy)
        twin._write_kubeconfig()
        return twin

    def _write_kubeconfig(self) -> None:
        super()._write_kubeconfig()
        if self.proxy is None:
            return
        path = self.folder / "kubeconfig"
        document = yaml.safe_load(path.read_text())
        authority = base64.b64encode(self.proxy.ca).decode()
        for entry in document["clusters"]:
            entry["cluster"] = {"server": self.proxy.address, "certificate-authority-data": authority}
        path.write_text(yaml.safe_dump(document))
