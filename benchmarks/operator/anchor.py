"""What a Go engineer would write, on the same bodies and the same API server: e2e/tools/go-controller."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.operator import world
from benchmarks.operator.measure import AuditTail, Request, calls_until_quiet, cpu_seconds, resident_mb
from benchmarks.operator.scenarios import Bench, raw_rate
from e2e.tools import tool
from productionservice.engine.client import Client

NAMESPACE, PLACEHOLDER = "anchor", "service-name-placeholder"


class GoController:
    """Its process, on the first CPU with one thread for Go code, as the operator has."""

    def __init__(self, bench: Bench) -> None:
        path = bench.folder / "bodies.json"
        path.write_text(json.dumps(list(world.bodies(PLACEHOLDER, NAMESPACE))))
        self._command: Sequence[object] = (
            tool("go-controller"), f"-config={bench.folder / 'kubeconfig'}", f"-namespace={NAMESPACE}",
            f"-bodies={path}", f"-placeholder={PLACEHOLDER}", f"-workers={world.WORKERS}",
        )  # fmt: skip
        self._log = bench.folder / "go-controller.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start it; its pid."""
        with self._log.open("ab") as log:
            environment = {**os.environ, "GOMAXPROCS": "1"}
            command = ["taskset", "-c", "0", *map(str, self._command)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


def _go(request: Request) -> bool:
    return "go-controller" in request.agent


async def anchor(bench: Bench, made: Client) -> list[Figure]:
    """The same as `cold` and `restart` by the Go controller, in a namespace of its own; the operator stands still."""
    bench.operator.kill()
    bench.cluster.kubectl("create", "namespace", NAMESPACE)
    names = [name.replace("svc-", "go-") for name in bench.names]
    await world.create_services(made, names, NAMESPACE)
    controller = GoController(bench)
    try:
        tail, started = AuditTail(bench.cluster.audit_log), time.monotonic()
        pid = controller.start()
        await world.converged(made, bench.services, NAMESPACE)
        wall, cpu = time.monotonic() - started, cpu_seconds(pid)
        calls, rss = await calls_until_quiet(tail, of=_go), resident_mb(pid)
        all_cpu = cpu_seconds(pid)
        controller.kill()
        raw = await raw_rate(bench, made, "raw-again")
        again = AuditTail(bench.cluster.audit_log)
        pid = controller.start()
        restarted = [r for r in await calls_until_quiet(again, of=_go) if r.writes]
    finally:
        controller.kill()
    return [
        Figure("anchor_cold_wall", wall, "s"),
        Figure("anchor_cold_cpu_per_service", cpu / bench.services * 1e3, "ms"),
        Figure("anchor_cpu_per_service_until_quiet", all_cpu / bench.services * 1e3, "ms"),
        Figure("anchor_calls_per_service", len(calls) / bench.services, "calls"),
        Figure("anchor_rss", rss, "MB"),
        Figure("anchor_restart_writes", len(restarted), "writes"),
        Figure("raw_write_rate_beside_the_anchor", raw, "writes/s"),
        Figure("cold_wall_of_anchor", bench.cold_wall / wall, "ratio", 1.0, at_most=True),
        Figure("cold_calls_of_anchor", bench.cold_calls / len(calls), "ratio", 1.0, at_most=True),
    ]
