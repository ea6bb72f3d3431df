"""Two hundred connections of eight kinds, and what became of their requests.

Also a program, for a pod that has nothing but Python, so only the standard library is used:

    python3 -m tests.service.eight_kinds ADDRESS PORT ROUND_TRIP_MS

prints a line of JSON a second, the counts of each kind's answers so far, until /tmp/stop exists.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.service.clients import Address, FailedError, connect, keep_alive_client, request

CLOSE = "Connection: close\r\n"
Kinds = dict[str, tuple[bytes, int, float, int]]
KINDS: Kinds = {
    "get": (request("/fast"), 1, 0.15, 26),
    "post": (request("/echo", method="POST", body=b"x" * 2000), 1, 0.15, 26),
    "20 ms": (request("/sleep/0.02"), 1, 0.15, 26),
    "slow": (request("/sleep/0.8"), 1, 0.0, 26),
    "stream": (request("/stream/0.8"), 1, 0.0, 26),
    "pipelined": (request("/fast") * 4, 4, 0.25, 24),
    "one per connection": (request("/fast", headers=CLOSE), 1, 0.25, 24),
    "mostly idle": (request("/fast"), 1, 0.9, 26),
}
"""Kind → (bytes, requests in them, pause between two, connections)."""
CONNECTIONS = sum(count for *_, count in KINDS.values())
NEVER = "never answered"
Results = dict[str, list[str]]
"""Kind → what each of its requests came to."""
_LIMITED = "status 503 too many requests at once"
_STOP = Path("/tmp/stop")  # noqa: S108  # the only writable folder of the pod
_LONGEST = 900.0  # seconds
_LAST_ANSWERS = 20.0  # seconds; the slowest request takes one
_IN_A_ROW = 20


@dataclass
class Answers:
    """What came of all requests."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def refused(self) -> int:
        """Requests that the overload limit answered with 503: too much for this machine, but no loss."""
        return sum(count for answer, count in self.answers.items() if answer.startswith(_LIMITED))

    @property
    def cut_short(self) -> int:
        """Requests that got 503 because the drain had no more time for them."""
        return (
            sum(count for answer, count in self.answers.items() if answer.startswith("status 503"))
            - self.refused
        )

    @property
    def failures(self) -> int:
        """Requests without a proper answer: reset, closed, half, refused by the kernel, or never answered."""
        return self.answers.total() - self.answers["ok"] - self.refused - self.cut_short


def start_clients(
    start: Callable[..., object],
    pick: Callable[[], Address],
    rtt: float,
    stop: asyncio.Event,
    kinds: Kinds = KINDS,
) -> Results:
    """Start all of them, each by `start(coroutine)`; new connections go to `pick()`. What grows with every answer."""
    results: Results = {kind: [] for kind in kinds}
    for kind, (batch, depth, pause, count) in kinds.items():
        for _ in range(count):
            start(
                keep_alive_client(
                    pick, batch, depth=depth, pause=pause, rtt=rtt, results=results[kind], stop=stop
                )
            )
    return results


async def _send(address: Address, rtt: float) -> None:
    stop = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    await _own_network(address)
    results = start_clients(lambda client: tasks.append(loop.create_task(client)), lambda: address, rtt, stop)
    until = loop.time() + _LONGEST
    while loop.time() < until and not _told_to_stop():
        _say(results)
        await asyncio.sleep(1)
    stop.set()
    _, silent = await asyncio.wait(tasks, timeout=_LAST_ANSWERS)
    for task in tasks:
        if task not in silent:
            task.result()  # a bug of a client must not look like a client without failures
    _say({**results, NEVER: [NEVER] * len(silent)})
    for task in silent:
        task.cancel()


async def _own_network(address: Address) -> None:
    """A network policy lets a new pod through only once it has seen it, some 0.1 s after its start: not our subject."""
    row = 0
    while row < _IN_A_ROW:
        try:
            async with asyncio.timeout(5), connect(address) as connection:
                connection.send(request("/fast", headers=CLOSE))
                await connection.receive()
        except (FailedError, TimeoutError):
            row = 0
            await asyncio.sleep(0.1)
        else:
            row += 1


def _told_to_stop() -> bool:
    return _STOP.exists()


def _say(results: Mapping[str, list[str]]) -> None:
    sys.stdout.write(json.dumps({kind: collections.Counter(got) for kind, got in results.items()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_send((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]) / 1000))
