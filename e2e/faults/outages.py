"""Faults of the cluster itself: its API server and its store die, fill up, or remember less; clocks disagree."""

from __future__ import annotations

import itertools
import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from e2e.cluster.outage import ControlPlane
from e2e.cluster.providers import OwnCluster
from e2e.eventually import eventually
from e2e.faults.deaths import LEADER, twin_of
from e2e.faults.registry import fault
from e2e.faults.world import World
from e2e.packages import need
from productionservice import labels
from productionservice.api import GROUP, PLURAL

CRD_NAME = f"{PLURAL}.{GROUP}"
RECOVERED = 60
"""Seconds, from the API server's return to an edit that is carried out."""


def _control_plane(world: World) -> ControlPlane:
    assert isinstance(world.cluster, OwnCluster), "only our own clusters have a control plane to kill"
    return ControlPlane(world.cluster)


def _dies(world: World, *parts: str) -> None:
    world.apply()
    world.converged()
    with _control_plane(world).without(*parts):
        world.until(lambda: "the watch broke" in world.operator.log.read_text(), "the operator notices")
        world.until(lambda: world.operator.get("/healthz")[0] == 200, "no new process is asked for")
    world.apply(port=8087)
    world.converged(timeout=RECOVERED)
    world.holds()


@fault("F13a", "the API server dies and comes back", "carried on within 60 s; no new process", quick=False)
def api_server_dies(world: World) -> None:
    _dies(world, "kube-apiserver")


@fault("F13b", "etcd dies and comes back", "carried on within 60 s; no new process", quick=False)
def etcd_dies(world: World) -> None:
    _dies(world, "etcd", "kube-apiserver")


def _alarm(etcd: str, action: str) -> None:
    """What etcd itself raises when its quota is used up, and what an administrator takes back."""
    body = {"action": action, "memberID": 0, "alarm": "NOSPACE"}
    httpx.post(f"{etcd}/v3/maintenance/alarm", json=body, trust_env=False).raise_for_status()


@fault("F13c", "etcd is full", "the operator says why; written as soon as there is room", quick=False)
def etcd_is_full(world: World) -> None:
    world.apply()
    world.converged()
    etcd = _control_plane(world).etcd
    _alarm(etcd, "ACTIVATE")
    try:
        # Deletions pass: the Service has to come back, and cannot.
        world.kubectl("delete", "service", "catalog")
        world.until(lambda: "space exceeded" in world.operator.log.read_text(), "the operator hears why")
        assert not world.exists("service")
    finally:
        _alarm(etcd, "DEACTIVATE")
    world.forget("Service")
    world.until(lambda: world.exists("service"), "there is room again", timeout=RECOVERED)
    world.holds()


@fault(
    "F51",
    "the release before follows a newer one",
    "what it does not know stays; no pod restarts",
    quick=False,
)
def downgrade(world: World) -> None:
    """There is no newer release: its field in the CRD and its digest on a child are made by hand."""
    world.apply()
    world.converged()
    template = world.get("deployment")["spec"]["template"]
    world.operator.stop()
    spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    newer = json.dumps([{"op": "add", "path": f"{spec}/future", "value": {"type": "string"}}])
    world.cluster.kubectl("patch", "crd", CRD_NAME, "--type=json", "-p", newer)
    try:
        world.until(lambda: _takes_future(world), "the API server knows the newer field")
        digest = f"{labels.APPLIED_DIGEST}=of-another-release"
        manager = f"--field-manager={labels.FIELD_MANAGER}"
        world.kubectl("annotate", "deployment", "catalog", digest, "--overwrite", manager)
        world.operator.start()
        world.until(lambda: "spec.future" in _problems(world), "the status names the field")
        world.converged()
        assert world.get("psvc")["spec"]["future"] == "x"
        assert (
            world.get("deployment")["metadata"]["annotations"][labels.APPLIED_DIGEST] != "of-another-release"
        )
        assert world.get("deployment")["spec"]["template"] == template, "its pods were restarted"
        world.kubectl("patch", "psvc", "catalog", "--type=merge", "-p", '{"spec":{"port":8091}}')
        world.converged()
        assert world.get("psvc")["spec"]["future"] == "x"
    finally:
        back = json.dumps([{"op": "remove", "path": f"{spec}/future"}])
        world.cluster.kubectl("patch", "crd", CRD_NAME, "--type=json", "-p", back)
    world.holds()


def _takes_future(world: World) -> bool:
    world.kubectl("patch", "psvc", "catalog", "--type=merge", "-p", '{"spec":{"future":"x"}}')
    return "future" in world.get("psvc")["spec"]


def _problems(world: World) -> set[str]:
    return {problem["field"] for problem in world.get("psvc")["status"]["problems"]}


@fault(
    "F58", "etcd is restored from yesterday", "nothing is deleted; what came back is taken on", quick=False
)
def restored(world: World) -> None:
    world.apply()
    world.apply("second")
    world.converged()
    world.converged("second")
    world.remember()
    with tempfile.TemporaryDirectory(prefix="fault-etcd-") as name:
        control, backup = _control_plane(world), Path(name) / "etcd"
        control.copy_data(backup)
        world.apply(port=8088)
        world.converged()
        world.kubectl("delete", "psvc", "second")
        world.until(lambda: not world.exists("deployment", "second"), "the second service is gone")
        control.put_back(backup)
    world.until(lambda: world.exists("deployment", "second"), "the second service is back", timeout=RECOVERED)
    _calm(world, 12)
    world.holds(timeout=RECOVERED)
    world.converged("second", timeout=RECOVERED)
    eventually(lambda: world.as_rendered("second"), timeout=30)
    world.apply(port=8089)
    world.holds(timeout=RECOVERED)


def _calm(world: World, seconds: float) -> None:
    """Wait until the cluster's own controllers, started anew, have nothing more to say about the children."""

    def quiet() -> None:
        newest = max(
            seen.at
            for seen in world.proxy.seen
            if seen.call.writes and seen.call.namespace == world.namespace
        )
        assert time.monotonic() - newest > seconds

    eventually(quiet, timeout=RECOVERED)


@fault(
    "F59",
    "nobody reads the operator's output",
    "/healthz gives no answer; a new process resumes",
    LOG_LEVEL="debug",
)
def blocked_output(world: World) -> None:
    """Out of memory is a death as any other (F01); no file is written, so that a full disk is none of its faults."""
    world.apply()
    world.converged()
    world.operator.stop()
    with world.operator.through_a_pipe() as reader:
        world.operator.start()
        world.repair()
        reader.send_signal(signal.SIGSTOP)
        numbers = itertools.count()

        def hangs() -> bool:
            world.kubectl("annotate", "psvc", "catalog", f"example/number={next(numbers)}", "--overwrite")
            try:
                return world.operator.get("/healthz")[0] != 200
            except httpx.TransportError:
                return True

        world.until(hangs, "the pipe is full", timeout=120)
        world.operator.kill()  # as the kubelet does then
        reader.send_signal(signal.SIGCONT)
    world.apply(port=8092)
    world.operator.start()
    world.holds()


@contextmanager
def _clock(world: World, offset: str) -> Iterator[Callable[[str], None]]:
    """The operator's wall clock is off; what is given sets it anew. Monotonic time goes on, as it does in a step."""
    need({"faketime": "faketime"})
    file = world.folder / "clock"
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    file.write_text(offset)
    world.operator.wrapper = (
        "env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={file}", "FAKETIME_NO_CACHE=1",
        "DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
    )  # fmt: skip

    def set_clock(text: str) -> None:
        file.write_text(text)

    yield set_clock


@fault(
    "F34",
    "one replica's clock is ten minutes ahead, and jumps back",
    "exactly one leads",
    LEADER_ELECTION="true",
)
def clocks(world: World) -> None:
    with _clock(world, "+600") as set_clock:
        world.operator.stop()
        world.operator.start()
        with twin_of(world) as twin:

            def leaders() -> tuple[float, float]:
                return world.operator.metric(LEADER), twin.metric(LEADER)

            world.until(lambda: sum(leaders()) == 1, "one of them leads", timeout=40)
            first = leaders()
            world.apply()
            world.converged()
            set_clock("-600")
            world.apply(port=8090)
            world.converged()
            world.repair()
            assert leaders() == first, "no hand-over for a clock's sake"
            loser = world.operator if first[1] else twin
            assert loser.proxy is not None
            assert loser.proxy.writes(world.namespace) == []
    world.holds()


@fault(
    "F20b",
    "our own CRD is deleted, every service with it, and comes back",
    "the process ends with a line that says why, the next one waits; applied anew, all is as wanted",
    quick=False,
)
def crd_deleted(world: World) -> None:
    world.apply()
    world.converged()
    world.forget(*world.uids)
    world.cluster.kubectl("delete", "crd", CRD_NAME, "--timeout=60s")
    assert world.operator.process is not None
    assert world.operator.process.wait(60) == 1, "it ends, to be started anew"
    assert "the CRD of ProductionServices is gone" in world.operator.log.read_text()
    # Whether the children go now or once the CRD is back is a race of the collector's with the kind's end.
    world.operator.start(wait=False)  # as its Deployment does
    world.operator.install()
    eventually(world.operator.check_ready, timeout=60)
    world.apply()
    world.converged(timeout=120)  # what the collector has left of the old service is collected first
    world.holds()
