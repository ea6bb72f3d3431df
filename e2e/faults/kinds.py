"""Faults in what kinds there are: CRDs of others that are absent, come, go, or are served no longer."""

from __future__ import annotations

import json

from e2e import crds
from e2e.faults.registry import fault
from e2e.faults.world import World

CRD = "servicemonitors.monitoring.coreos.com"


@fault(
    "F17", "an optional CRD is absent", "MonitoringReady=False/CRDNotInstalled; the rest goes on; no noise"
)
def no_monitoring(world: World) -> None:
    def told() -> int:
        return world.operator.log.read_text().count("servicemonitors")

    world.cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
    world.apply()
    world.until(lambda: world.reason("MonitoringReady") == "CRDNotInstalled", "CRDNotInstalled")
    before = told()
    world.holds()
    assert told() - before <= 1, "it is said once"


@fault("F18", "an optional CRD comes later", "the child within 30 s; no restart")
def monitoring_comes(world: World) -> None:
    world.cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
    world.apply()
    world.converged()
    process = world.operator.process
    crds.install(world.cluster, "prometheus-operator", "servicemonitors")
    world.until(lambda: world.exists("servicemonitor"), "the child", timeout=30)
    world.holds()
    assert world.operator.process is process


@fault(
    "F19",
    "an optional CRD is served no longer, is served again, and is removed",
    "the condition each time, and the child; no crash",
)
def monitoring_goes(world: World) -> None:
    def served(value: bool) -> None:
        flip = json.dumps([{"op": "replace", "path": "/spec/versions/0/served", "value": value}])
        world.cluster.kubectl("patch", "crd", CRD, "--type=json", "-p", flip)

    def absent() -> bool:
        return world.reason("MonitoringReady") == "CRDNotInstalled"

    crds.install(world.cluster, "prometheus-operator", "servicemonitors")
    world.apply()
    world.until(lambda: world.exists("servicemonitor"), "the child", timeout=30)
    served(False)
    world.until(absent, "CRDNotInstalled", timeout=45)
    served(True)
    world.until(
        lambda: world.reason("MonitoringReady") not in ("", "CRDNotInstalled"), "it is back", timeout=45
    )
    world.cluster.kubectl("delete", "crd", CRD)
    world.until(absent, "CRDNotInstalled", timeout=45)
    assert world.operator.process is not None
    assert world.operator.process.poll() is None
    world.holds()
