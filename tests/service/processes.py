"""Real service processes on loopback, for the tests that need one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
AT_ONCE = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PROPAGATION_SECONDS": "0",
    "SERVICE_QUIET_SECONDS": "0",
}
"""Settings of a service on free ports of loopback that leaves as soon as it is told to."""
_START_SECONDS = 60  # generous: the machine may be busy; the start-up time has its own test


async def eventually(probe: Callable[[], Awaitable[Any]], *, seconds: float = 10, what: str) -> Any:
    """The first true result of `probe`; AssertionError naming `what` when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = await probe()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


class ServiceProcess:
    """One process that serves. Its log goes to a file: a full pipe would stop it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.port = 0
        self.admin_port = 0

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; every line has to be JSON."""
        text = self.log.read_bytes().decode()
        try:
            # Not `splitlines`: a path may hold U+0085 or U+2028, which end no line of JSON.
            return [json.loads(line) for line in text.split("\n")[:-1]]
        except ValueError:
            raise AssertionError(f"not JSON lines:\n{text}") from None

    def events(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        return [line for line in self.lines() if line["event"] == event]

    async def wait_serving(self) -> None:
        """Return once it has said that it serves, and where."""

        async def serving() -> bool:
            assert self.process.returncode is None, (
                f"left with {self.process.returncode}: {self.log.read_text()}"
            )
            found = self.events("serving")
            if found:
                self.port, self.admin_port = found[0]["port"], found[0]["admin_port"]
            return bool(found)

        await eventually(serving, seconds=_START_SECONDS, what="serving")

    async def admin(self, path: str) -> httpx.Response:
        """GET on the admin port."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.admin_port}") as client:
            return await client.get(path)

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(sig)

    async def wait(self, seconds: float) -> int:
        """Exit code, once it has left."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def run_service(
    *arguments: str, log: Path, env: dict[str, str] | None = None, wait: bool = True
) -> AsyncIterator[ServiceProcess]:
    """Start `python <arguments>` in the repository's root; it is gone at the end whatever happened."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("CATALOG_", "SERVICE_"))}
    own |= {"PYTHONPATH": str(ROOT / "service"), "PYTHONWARNINGS": "error", **(env or {})}
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=own, cwd=ROOT, stdout=stream, stderr=stream
        )
    service = ServiceProcess(process, log)
    try:
        if wait:
            await service.wait_serving()
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
