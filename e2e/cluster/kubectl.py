"""kubectl against one kubeconfig: its output, and ports forwarded by it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from e2e.progress import CommandError

_FORWARD_PATIENCE = 10.0  # seconds until kubectl says which port it listens on; it takes about 0.1
_RETRY_PAUSE = 0.5  # seconds between attempts: what fails is a pod that is not running yet


class KubectlError(subprocess.CalledProcessError, CommandError):
    """kubectl failed. The message is its last line; `stdout` and `stderr` hold everything."""

    def __str__(self) -> str:
        last = (self.stderr or "").strip().splitlines()[-1:] or [f"exit code {self.returncode}"]
        return f"{' '.join(map(str, self.cmd))}: {last[0]}"


@dataclass(frozen=True)
class Kubectl:
    """The program and the kubeconfig that it is used with."""

    program: Path
    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment with this kubeconfig; the cache is beside it and goes when it goes."""
        cache = self.kubeconfig.parent / "cache"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(cache)}

    def run(self, *arguments: str, **options: Any) -> str:
        """Standard output. `options` are those of subprocess.run, such as `input` or `timeout`.

        Raises KubectlError when kubectl fails.
        """
        settings = {"env": self.environment, "capture_output": True, "encoding": "utf-8", **options}
        finished = subprocess.run(["kubectl", *arguments], executable=self.program, check=False, **settings)
        if finished.returncode:
            command = ["kubectl", *arguments]
            raise KubectlError(finished.returncode, command, finished.stdout, finished.stderr)
        return str(finished.stdout)

    @contextmanager
    def port_forward(
        self, target: str, port: int, *arguments: str, local_port: int | None = None, retries: int = 10
    ) -> Iterator[int]:
        """Local port that leads to `port` of a pod or `service/NAME`; kubectl chooses a free one."""
        command = ["kubectl", "port-forward", target, f"{local_port or ''}:{port}", *arguments]
        with tempfile.TemporaryFile("w+") as said:
            forwarding, chosen = self._forwarding(command, said, retries)
            try:
                yield chosen
            finally:
                forwarding.terminate()
                forwarding.wait()

    def _forwarding(
        self, command: list[str], said: IO[str], retries: int
    ) -> tuple[subprocess.Popen[str], int]:
        """Start kubectl until it forwards. Its words go to a file: a pipe that nobody reads would stop it."""
        for attempt in range(retries):
            if attempt:
                time.sleep(_RETRY_PAUSE)
            said.seek(0)
            said.truncate()
            process = subprocess.Popen(
                command, executable=self.program, env=self.environment, stdout=said, stderr=said, text=True
            )
            deadline = time.monotonic() + _FORWARD_PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                said.seek(0)
                if found := re.search(r"Forwarding from \S+:(\d+) ->", said.read()):
                    return process, int(found[1])
                time.sleep(0.02)
            process.kill()
            process.wait()
        said.seek(0)
        raise CommandError(f"{' '.join(command)}: {(said.read().strip().splitlines() or ['no answer'])[-1]}")
