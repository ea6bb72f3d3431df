"""Pods replaced under load through a Kubernetes Service: how many requests get no proper answer.

The clients are those of `drain`, in a pod of a cluster of `e2e/cluster`; three pods of a ProductionService answer
behind its ClusterIP, and each rollout replaces them. So it is kube-proxy that keeps established connections on a
leaving pod and gives new ones to the others, when it has heard of it. The anchor is the same application on stock
uvicorn, with the same ProductionService around it.

    python -m benchmarks.service rollouts                     54 replacements, about 8 minutes
    python -m benchmarks.service rollouts --replacements 9    quicker, says less

Exit codes: 0 every goal reached, 1 a goal missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure, report
from benchmarks.service.drain import RTTS
from benchmarks.service.processes import machine
from e2e.cluster.providers import Cluster, open_cluster
from e2e.install import install_operator, load_images
from e2e.replacements import PODS, STOCK, replacements
from e2e.services import Json, new_namespace
from tests.service.eight_kinds import CONNECTIONS, Answers

_ANCHOR_ROLLOUTS = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write `build/bench-service-rollouts.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service rollouts",
        description="Failed requests while pods are replaced under 200 connections of eight kinds to their Service.",
        epilog="example: python -m benchmarks.service rollouts --replacements 9",
    )
    least = len(RTTS) * PODS
    parser.add_argument(
        "--replacements", type=int, default=54, help=f"at least; a multiple of {least} is made (default 54)"
    )
    wanted = parser.parse_args(argv).replacements
    if wanted < least:
        parser.error(f"--replacements: {wanted} cannot be used: write {least} or more")
    ours, stock = Answers(), Answers()
    with _cluster() as cluster:
        replaced = sum(_replace(cluster, rtt, -(-wanted // least), ours) for rtt in RTTS)
        stock_replaced = _replace(cluster, RTTS[1], _ANCHOR_ROLLOUTS, stock, STOCK)
    sys.stderr.write(f"prodkit {dict(ours.answers)}\nstock uvicorn {dict(stock.answers)}\n")
    figures = [
        Figure("rollouts_failures", ours.failures, "requests", 0, at_most=True),
        Figure("rollouts_cut_short", ours.cut_short, "requests", 0, at_most=True),
        Figure("rollouts_refused_by_limiter", ours.refused, "requests"),
        Figure("rollouts_requests", ours.answers.total(), "requests"),
        Figure("rollouts_replacements", replaced, "replacements"),
        Figure("rollouts_stock_failures_per_replacement", stock.failures / stock_replaced, "requests"),
        Figure("rollouts_stock_requests", stock.answers.total(), "requests"),
    ]
    conditions = {"connections": CONNECTIONS, "pods": PODS, "rtt_ms": [it * 1000 for it in RTTS], **machine()}
    return report("bench-service-rollouts", figures, conditions)


def _replace(cluster: Cluster, rtt: float, rollouts: int, answers: Answers, spec: Json | None = None) -> int:
    """How many pods have left."""
    with new_namespace(cluster) as services, replacements(services, rtt=rtt, spec=spec) as running:
        for number in range(rollouts):
            running.roll()
            name = "stock uvicorn" if spec else "prodkit"
            sys.stderr.write(f"{name} rtt {rtt * 1000:g} ms: {number + 1} of {rollouts} rollouts\n")
        for kind in running.stop().values():
            answers.answers.update(kind.answers)
        return running.replaced


@contextlib.contextmanager
def _cluster() -> Iterator[Cluster]:
    cluster = open_cluster(f"rollouts-{os.getpid()}", "node")
    cluster.create()
    try:
        load_images(cluster)
        install_operator(cluster)
        yield cluster
    finally:
        cluster.delete()
