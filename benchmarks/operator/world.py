"""A cluster without controllers, services in it, the operator on one CPU, and a bare client beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.operator.entry import EXTRA, widen
from benchmarks.operator.measure import AuditTail
from e2e import crds
from e2e.cluster.providers import Cluster, open_cluster
from productionservice.api import API_VERSION, parse
from productionservice.children import BuildContext, Manifest, build_children
from productionservice.config import OperatorConfig
from productionservice.effective import compute_effective
from productionservice.engine.client import Client, Resource
from productionservice.engine.login import load_login
from tests.api.operator_process import OperatorProcess

SERVICES = Resource(API_VERSION, "productionservices")
SPEC = {"image": {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}, "replicas": {"min": 2}}
CHILDREN = 6 + EXTRA
WORKERS = 16


class BenchOperator(OperatorProcess):
    """The operator with its additional children, on the first CPU."""

    def start(self, *, wait: bool = True) -> None:
        """As the base class does, pinned."""
        super().start(wait=wait)
        os.sched_setaffinity(self.pid, {0})

    @property
    def module(self) -> str:
        """What is run."""
        return "benchmarks.operator.entry"

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self.process is None:
            raise RuntimeError("the operator was not started")
        return self.process.pid


@contextlib.contextmanager
def bench_cluster(name: str = "bench", *, controllers: bool = False) -> Iterator[Cluster]:
    """etcd and API server only: controllers and scheduler are stopped, so that no pod is made of 2,000 Deployments.

    What is compared runs against the same API server in the same state. Each run has a cluster of its own.
    """
    cluster = open_cluster(f"{name}-{os.getpid()}", "api")
    cluster.create()
    try:
        crds.install(cluster, "prometheus-operator", "servicemonitors")
        cluster.kubectl("create", "namespace", "shop")
        if not controllers:
            _stop_controllers(cluster.kubeconfig_path.parent)
        yield cluster
    finally:
        cluster.delete()


def _stop_controllers(run_directory: Path) -> None:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            ours = any(str(run_directory) in word for word in words)
            if ours and Path(words[0]).name in {"kube-controller-manager", "kube-scheduler"}:
                os.kill(int(folder.name), signal.SIGKILL)


def client(cluster: Cluster) -> Client:
    """A client with an administrator's rights."""
    return Client(load_login(OperatorConfig(kubeconfig=cluster.kubeconfig_path)), agent="benchmark")


def service(name: str, namespace: str = "shop") -> dict[str, Any]:
    """One service."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "ProductionService", "metadata": metadata, "spec": SPEC}


def bodies(name: str, namespace: str = "shop") -> tuple[Manifest, ...]:
    """What the operator writes for one service, owner aside."""
    widen()
    made = parse(
        {**service(name), "metadata": {"name": name, "namespace": namespace, "uid": "", "generation": 1}}
    )
    return build_children(made, compute_effective(made.spec), BuildContext())


async def each(
    items: Iterable[Any], work: Callable[[Any], Awaitable[object]], *, at_once: int = WORKERS
) -> None:
    """Do `work` for all items, so many at the same time."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def create_services(made: Client, names: list[str], namespace: str = "shop") -> None:
    """Create services; they stay as they are until an operator comes."""
    await each(names, lambda name: made.post(SERVICES, namespace, service(name, namespace)))


async def converged(made: Client, count: int, namespace: str = "shop", *, within: float = 900) -> None:
    """Until that many services say that all of their children are applied."""
    deadline = time.monotonic() + within
    while True:
        done = 0
        async for items, _ in made.pages(SERVICES, namespace):
            done += sum(_applied(item) for item in items)
        if done >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{done} of {count} services are applied")
        await asyncio.sleep(0.5 if count - done < 50 else 2)


def _applied(item: dict[str, Any]) -> bool:
    status = item.get("status") or {}
    conditions = status.get("conditions") or []
    return status.get("observedGeneration") == item["metadata"]["generation"] and any(
        c["type"] == "Applied" and c["status"] == "True" for c in conditions
    )


def tail(cluster: Cluster) -> AuditTail:
    """The API server's audit log from now on."""
    return AuditTail(cluster.audit_log)
