"""A rolling replacement under load, with what kube-proxy does in small.

Established connections stay with their pod; new ones pick from the endpoint list, which loses a leaving pod
only half a second after its SIGTERM. Eight kinds of clients; every request has to get its answer.
"""

from __future__ import annotations

import asyncio
import collections
from contextlib import AsyncExitStack
from pathlib import Path

from tests.service.clients import Address
from tests.service.eight_kinds import KINDS, start_clients
from tests.service.processes import ServiceProcess, run_service

REPLACEMENTS = 4
PROPAGATION = 0.5
ENV = {
    "SERVICE_PORT": "0",
    "SERVICE_ADMIN_PORT": "0",
    "SERVICE_HOST": "127.0.0.1",
    "SERVICE_PROPAGATION_SECONDS": str(PROPAGATION),
    "SERVICE_QUIET_SECONDS": "0.6",
    "SERVICE_DRAIN_SECONDS": "8",
    "SERVICE_ACCESS_LOG": "false",
}
APP = ("-m", "tests.service.drain_app")
# name → (pause between two batches in seconds, clients): fewer than there are elsewhere, and in more of a hurry
PACES = {
    "get": (0.005, 6),
    "post": (0.005, 4),
    "20 ms": (0.0, 6),
    "slow": (0.0, 4),
    "stream": (0.0, 4),
    "pipelined": (0.01, 4),
    "one per connection": (0.01, 4),
    "mostly idle": (0.7, 6),
}
HURRIED = {kind: (batch, depth, *PACES[kind]) for kind, (batch, depth, _, _) in KINDS.items()}


async def test_no_request_is_lost_while_processes_are_replaced(tmp_path: Path) -> None:
    endpoints: list[Address] = []
    turn = 0

    def pick() -> Address:
        nonlocal turn
        turn += 1
        return endpoints[turn % len(endpoints)]

    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        current = await _start(stack, tmp_path / "0.log")
        endpoints.append(("127.0.0.1", current.port))
        async with asyncio.TaskGroup() as group:
            results = start_clients(group.create_task, pick, 0.002, stop, HURRIED)
            for number in range(1, REPLACEMENTS + 1):
                following = await _start(stack, tmp_path / f"{number}.log")
                endpoints.append(("127.0.0.1", following.port))
                current.stop()
                await asyncio.sleep(PROPAGATION)  # what is simulated: the list changes this much later
                endpoints.pop(0)
                assert await current.wait(30) == 0
                current = following
            stop.set()

    counts = {kind: collections.Counter(answers) for kind, answers in results.items()}
    failures = {kind: count for kind, count in counts.items() if set(count) != {"ok"}}
    assert failures == {}
    assert min(count["ok"] for count in counts.values()) >= 4 * REPLACEMENTS


async def _start(stack: AsyncExitStack, log: Path) -> ServiceProcess:
    return await stack.enter_async_context(run_service(*APP, log=log, env=ENV))
