"""Faults in single answers: refused, late, lost."""

from __future__ import annotations

import itertools
import json
import threading

from e2e.eventually import eventually
from e2e.faults.operator import REQUEST_SECONDS
from e2e.faults.registry import fault
from e2e.faults.rules import Answer, Call, Do, reset
from e2e.faults.world import World


@fault("F03", "409 for a write", "read again and retried")
def conflict(world: World) -> None:
    rule = world.proxy.add(
        Answer(409, "Conflict"),
        writes=True,
        namespace=world.namespace,
        times=3,
        when=lambda c: c.verb == "apply",
    )
    world.apply()
    world.until(lambda: rule.hits == 3, "three conflicts")
    world.holds()


@fault("F04", "422 for one child", "Applied=False/Rejected names it; the others are made; no hot retry")
def rejected(world: World) -> None:
    invalid = Answer(422, "Invalid", "spec.ports: injected")
    rule = world.proxy.add(invalid, verb="apply", resource="services", namespace=world.namespace, times=None)
    world.apply()
    world.until(lambda: world.reason("Applied") == "Rejected", "Rejected")
    assert "Service catalog" in world.condition("Applied")["message"]
    assert world.exists("deployment")
    assert rule.hits < 10, "a hot retry"
    world.holds(timeout=45)


@fault(
    "F05", "429 with Retry-After for three of ten writes", "none sooner than asked; all is made in the end"
)
def busy(world: World) -> None:
    asked = 1
    turn = itertools.count()
    world.proxy.add(
        Answer(429, "TooManyRequests", headers={"Retry-After": str(asked)}),
        writes=True,
        namespace=world.namespace,
        times=None,
        when=lambda _: next(turn) % 10 in (2, 5, 8),
    )
    names = ("catalog", "second")
    for name in names:
        world.apply(name)
    for name in names:
        world.converged(name, timeout=60)
    writes = [s for s in world.proxy.seen if s.call.writes and s.call.namespace == world.namespace]
    refused = [index for index, seen in enumerate(writes) if seen.status == 429]
    assert len(refused) >= 4, f"{len(refused)} of {len(writes)}"
    for index in refused:
        again = next((s for s in writes[index + 1 :] if s.call == writes[index].call), None)
        if again:  # an event is not written twice
            waited = again.at - writes[index].at
            assert waited >= asked * 0.95, f"{again.call} {waited:.2f} s later"
    world.holds()


@fault("F06", "5xx for every other call", "retried; Ready keeps the last truth")
def broken(world: World) -> None:
    turn = iter(range(10**9))
    world.proxy.add(
        Answer(503, "ServiceUnavailable"),
        namespace=world.namespace,
        times=None,
        when=lambda _: next(turn) % 2 == 0,
    )
    world.apply()
    world.until(lambda: any(s.status == 503 for s in world.proxy.seen), "a 503")
    world.converged(timeout=60)
    world.holds()


@fault("F07", "a write that gets no answer", "given up in time; other services go on meanwhile")
def silent(world: World) -> None:
    over = threading.Event()

    def hang(_call: Call) -> None:
        over.wait(REQUEST_SECONDS * 20)

    world.proxy.add(Do(first=hang), verb="apply", resource="services", name="catalog", times=1)
    world.apply()
    world.apply("other")
    world.converged("other")
    over.set()
    world.holds()


@fault("F08", "the write is done and its answer lost", "found to be ours; nothing is made twice")
def lost(world: World) -> None:
    for resource in ("serviceaccounts", "services", "deployments"):
        world.proxy.add(Do(then=reset), verb="apply", resource=resource, namespace=world.namespace)
    world.apply()
    world.converged()
    world.holds()


@fault(
    "F08b",
    "a child is deleted before the answer to its creation arrives",
    "the answer does not bring it back into memory: it is made again at once",
)
def overtaken(world: World) -> None:
    known = 'productionservice_informer_objects{resource="serviceaccounts"}'
    world.operator.stop()
    world.undisturbed()  # or the objects of others, which are counted as well, would go meanwhile
    world.operator.request_seconds = 30.0
    world.operator.start()
    before = world.operator.metric(known)
    overtaken = threading.Event()

    def outlive(_call: Call) -> None:
        world.until(lambda: world.operator.metric(known) == before + 1, "the watch has told of the object")
        world.kubectl("delete", "serviceaccount", "catalog", "--wait=false")
        world.until(lambda: world.operator.metric(known) == before, "the watch has told of its end")
        overtaken.set()

    world.proxy.add(Do(then=outlive), verb="apply", resource="serviceaccounts", namespace=world.namespace)
    world.apply()
    assert overtaken.wait(30)
    world.converged()
    world.holds()


@fault("F14", "401 once; 403 for one kind", "logs in again; only that kind's condition is False")
def forbidden(world: World) -> None:
    world.proxy.add(Answer(401, "Unauthorized"), verb="apply", namespace=world.namespace)
    world.apply()
    world.converged()
    forbid = Answer(403, "Forbidden", "injected")
    for verb in ("list", "watch"):
        world.proxy.add(forbid, verb=verb, resource="poddisruptionbudgets", times=None)
    world.apply(port=8081)
    world.until(lambda: world.reason("Applied") == "Forbidden", "Forbidden")
    [port, *_] = world.get("deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == 8081, "the others go on"
    world.proxy.clear()
    # The operator looks again at an unserved kind after a while; a new start does so at once.
    world.operator.stop()
    world.holds()


@fault("F36", "an edit while the status of the one before is on its way", "a late result marks nothing newer")
def late_status(world: World) -> None:
    go_on, held = threading.Event(), threading.Event()

    def hold(_call: Call) -> None:
        held.set()
        go_on.wait(REQUEST_SECONDS * 0.8)

    world.proxy.add(Do(first=hold), verb="apply", resource="productionservices", subresource="status")
    world.apply()
    assert held.wait(30)
    world.apply(port=8082)
    go_on.set()

    def true_generations() -> None:
        service = world.get("psvc")
        ports = service["spec"].get("port")
        assert ports == 8082
        for condition in service["status"]["conditions"]:
            assert condition["observedGeneration"] == service["metadata"]["generation"]

    eventually(true_generations, timeout=30)
    world.holds()


@fault("F20", "our own CRD is refused for a while", "waits, and is ready when it is there")
def no_crd(world: World) -> None:
    world.operator.stop()
    rule = world.proxy.add(Answer(404, "NotFound"), resource="productionservices", times=None)
    world.operator.start(wait=False)
    world.until(lambda: rule.hits >= 2, "it asks again")
    assert json.loads(world.kubectl("get", "psvc", "-o", "json"))["items"] == []
    world.proxy.clear()
    eventually(world.operator.check_ready, timeout=60)
    world.apply()
    world.holds()
