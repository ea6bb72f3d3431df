"""Faults in watches: cut, silent, out of order, out of date."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator

from e2e.faults.operator import SILENCE_SECONDS
from e2e.faults.registry import fault
from e2e.faults.rules import Stream
from e2e.faults.world import World

_GONE = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
}


def _type(line: bytes) -> str:
    return str(json.loads(line)["type"])


def expired(lines: Iterable[bytes]) -> Iterator[bytes]:
    """410 instead of the first event."""
    for _ in lines:
        yield json.dumps(_GONE).encode() + b"\n"
        return


@fault("F09", "410 in the middle of a watch", "listed again; no change is missed")
def gone(world: World) -> None:
    world.apply()
    world.converged()
    rules = [
        world.proxy.add(Stream(expired), verb="watch", resource=resource, times=2)
        for resource in ("services", "deployments", "productionservices")
    ]
    world.operator.stop()
    world.operator.start()
    world.repair()
    world.apply(port=8083)
    world.until(lambda: all(rule.hits for rule in rules), "each watch was hit")
    world.holds()


@fault("F10", "a watch that says nothing more", "noticed, and what happened meanwhile is seen")
def silence(world: World) -> None:
    over = threading.Event()

    def silent(lines: Iterable[bytes]) -> Iterator[bytes]:
        over.wait(SILENCE_SECONDS * 3)
        yield from lines

    world.apply()
    world.converged()
    world.operator.stop()
    rule = world.proxy.add(Stream(silent), verb="watch", resource="services", times=1)
    world.operator.start()
    world.until(lambda: rule.hits == 1, "the watch is silent")
    world.repair()
    over.set()
    world.holds()


@fault(
    "F10b",
    "kopf's stream of services stands still",
    "edits are taken in all the same; a new process is asked for",
    RELIST_SECONDS="600",  # nothing else may find them
)
def dead_stream(world: World) -> None:
    over = threading.Event()

    def silent(_lines: Iterable[bytes]) -> Iterator[bytes]:
        over.wait(60)
        yield from ()

    def says(path: str, fragment: str) -> bool:
        status, text = world.operator.get(path)
        return status == 503 and fragment in text

    world.apply()
    world.converged()
    world.operator.stop()
    rule = world.proxy.add(
        Stream(silent),
        verb="watch",
        resource="productionservices",
        times=None,
        when=lambda c: not c.metadata_only,
    )
    world.operator.start()
    world.until(lambda: rule.hits > 0, "the stream is silent")
    world.apply(port=8086)
    world.converged()
    world.until(lambda: says("/readyz", "the stream has missed changes"), "/readyz says so")
    world.until(lambda: says("/healthz", "the stream has been dead"), "/healthz asks for a new process")
    world.proxy.clear()
    over.set()
    world.operator.kill()  # as the kubelet does then
    world.operator.start()
    world.until(lambda: world.operator.get("/healthz")[0] == 200, "the new process is well")
    world.holds()


@fault("F11", "events dropped, doubled and out of order", "the world ends as if they had come")
def disorder(world: World) -> None:
    def drop_deletions(lines: Iterable[bytes]) -> Iterator[bytes]:
        return (line for line in lines if _type(line) != "DELETED")

    def doubled(lines: Iterable[bytes]) -> Iterator[bytes]:
        before = b""
        for line in lines:
            yield line
            if before and _type(before) != "BOOKMARK":
                yield before  # late, and for the second time
            before = line

    world.apply()
    world.converged()
    world.operator.stop()
    world.proxy.add(Stream(drop_deletions), verb="watch", resource="poddisruptionbudgets", times=1)
    world.proxy.add(Stream(doubled), verb="watch", resource="deployments", times=None)
    world.proxy.add(Stream(doubled), verb="watch", resource="services", times=None)
    world.operator.start()
    world.kubectl("delete", "poddisruptionbudget", "catalog")
    world.forget("PodDisruptionBudget")
    world.repair()
    world.until(lambda: world.exists("poddisruptionbudget"), "the lost deletion is found", timeout=60)
    world.holds()


@fault("F12", "a stale list after a restart", "nothing is deleted or taken back on old knowledge")
def stale(world: World) -> None:
    world.apply(replicas={"min": 2, "max": 5})
    world.converged()
    over = threading.Event()

    def frozen(lines: Iterable[bytes]) -> Iterator[bytes]:
        over.wait(20)
        yield from lines

    world.operator.stop()
    for resource in ("horizontalpodautoscalers", "services", "deployments"):
        world.proxy.add(Stream(frozen), verb="watch", resource=resource, times=1)
    world.operator.start()
    # The caches of three kinds stand still from here on, while the world moves.
    world.kubectl("delete", "service", "catalog")
    world.apply(replicas={"min": 3}, port=8084)
    world.converged(timeout=45)
    over.set()
    world.forget("Service", "HorizontalPodAutoscaler")
    world.holds()
