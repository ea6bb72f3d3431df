"""What a pass says of the services that its own wants to call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.operator.test_reconcile import KEY, Pass
from tests.support.builders import IMAGE, UID


@pytest.fixture
def world() -> Pass:
    return Pass()


def neighbour(version: int, *callers: str, name: str = "pricing", **metadata: Any) -> dict[str, Any]:
    given = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": str(version), **metadata}
    allowed = [{"service": caller} for caller in callers]
    return {"metadata": given, "spec": {"image": IMAGE, "network": {"allowFrom": allowed}}}


async def test_who_is_not_let_in_hears_so_until_the_other_side_allows_it(world: Pass) -> None:
    parents = world.caches.parents
    world.edit(network={"allowTo": [{"cidr": "10.1.0.0/16", "port": 5432}, {"service": "pricing"}]})
    seen = []
    for body in (
        None,
        neighbour(201),
        neighbour(202, "web", "catalog"),
        neighbour(203, "catalog", deletionTimestamp="2026-01-02T03:04:05Z"),
    ):
        if body:
            parents.put(body)
        assert await world.reconcile(KEY) is None, "the other service's own event wakes this one"
        seen.append((world.condition("CallsAllowed")["reason"], world.condition("CallsAllowed")["message"]))

    assert seen == [
        ("CalleeNotFound", "there is no ProductionService pricing (spec.network.allowTo[1].service)"),
        (
            "CalleeDoesNotAllow",
            "pricing does not list catalog: add {service: catalog} to its spec.network.allowFrom "
            "(spec.network.allowTo[1].service)",
        ),
        ("CallsAllowed", "let in by pricing"),
        ("CalleeNotFound", "there is no ProductionService pricing (spec.network.allowTo[1].service)"),
    ]
    world.edit(network={"allowTo": []})
    await world.reconcile(KEY)
    assert "CallsAllowed" not in {c["type"] for c in world.service()["status"]["conditions"]}
    assert world.caches.referring("ProductionService", ("shop", "pricing")) == []


async def test_the_status_of_a_callee_makes_no_work_for_its_callers(world: Pass) -> None:
    world.edit(network={"allowTo": [{"service": "pricing"}]})
    world.caches.parents.put(neighbour(201, "catalog"))
    await world.reconcile(KEY)
    before = world.caches.snapshot(KEY, UID)
    world.caches.parents.put({**neighbour(202, "catalog"), "status": {"observedGeneration": 1}})

    assert world.caches.snapshot(KEY, UID) == before
