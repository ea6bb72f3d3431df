"""Server processes on loopback, and the processor time that they use."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START_SECONDS = 20.0


class Server:
    """One stack that serves."""

    def __init__(self, name: str, pid: int, port: int) -> None:
        self.name = name
        self.pid = pid
        self.port = port

    def cpu_ns(self) -> int:
        """Nanoseconds that all its threads have been running so far, from the kernel's scheduler."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)


@contextlib.contextmanager
def serve(
    name: str, *arguments: str, module: str, cpu: int | None = None, env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Start `python -m <module> <arguments> <port>`, wait until it answers, stop it at the end.

    Its standard output goes through a pipe to a reader that throws it away, as a container runtime's does.
    `cpu` pins the server to one processor.
    """
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVICE_")}
    environment["PYTHONPATH"] = f"{ROOT / 'service'}:{ROOT}"
    environment |= env or {}
    command = [sys.executable, "-m", module, *arguments, str(port)]
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink,
        subprocess.Popen(command, env=environment, stdout=sink.stdin, stderr=subprocess.DEVNULL) as process,
    ):
        assert sink.stdin is not None  # noqa: S101  we asked for a pipe
        sink.stdin.close()
        try:
            if cpu is not None:
                os.sched_setaffinity(process.pid, {cpu})
            _wait_for(process, port, name)
            yield Server(name, process.pid, port)
        finally:
            process.send_signal(signal.SIGINT)  # leaves without waiting for anybody
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def processors() -> tuple[int | None, int | None]:
    """One processor for the servers and one for the clients, if there are two."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[1]) if len(available) > 1 else (None, None)


def go_first(pid: int) -> None:
    """Let a process run before others on the machine, where we may: they would be measured too."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -15)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {"python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count()}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"error: the stack {name!r} does not serve: start it by hand to see why")
        time.sleep(0.05)
