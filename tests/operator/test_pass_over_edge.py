"""What a pass makes of the edge where the platform has a Gateway and an IngressClass."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from productionservice.children import BuildContext
from productionservice.engine.answers import NotFound
from productionservice.errors import Rejected
from productionservice.status.conditions import timestamp
from tests.operator.test_reconcile import KEY, Pass

ROUTES = ("Gateway", "HTTPRoute")
EXPOSE = {"hosts": ["catalog.example"]}
TLS = {**EXPOSE, "tls": {"issuer": {"name": "acme"}}}
EDGE = {"Ingress", *ROUTES}


@pytest.fixture
def world() -> Pass:
    """Without Gateway API."""
    made = Pass(BuildContext(edge_ingress_class="nginx"))
    for kind in ROUTES:
        made.caches.serve(kind, None, NotFound("the server has no such kind"))
    return made


def install(world: Pass) -> None:
    for kind in ROUTES:
        world.caches.serve(kind, None, None)


def there(world: Pass) -> set[str]:
    return {f"{kind} {name}" for kind, name in world.cluster.objects if kind in EDGE}


def say(world: Pass, kind: str, name: str, status: str = "True", *, since: str = "") -> None:
    """What the edge says of an object."""
    types = ("Accepted", "ResolvedRefs") if kind == "HTTPRoute" else ("Accepted", "Programmed")
    when = {"lastTransitionTime": since} if since else {}
    said = [{"type": type_, "status": status, "reason": "Said", "message": "no", **when} for type_ in types]
    body: dict[str, Any] = world.cluster.objects[kind, name]
    body["status"] = {"parents": [{"conditions": said}]} if kind == "HTTPRoute" else {"conditions": said}
    stored = world.cluster.store(kind, body, uid=body["metadata"]["uid"])
    world.caches.children[kind].put(stored)


async def test_an_ingress_stands_in_and_the_condition_says_so(world: Pass) -> None:
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)

    assert there(world) == {"Ingress catalog"}
    found = world.condition("Exposed")
    assert (found["status"], found["reason"]) == ("True", "Exposed")
    assert found["message"] == (
        "reached at http://catalog.example by Ingress of class nginx: "
        "the cluster has no Gateway API for Gateway edge/public"
    )


async def test_once_there_is_gateway_api_it_moves_without_a_gap(world: Pass) -> None:
    world.edit(expose=TLS)
    await world.reconcile(KEY)
    world.cluster.writes()
    install(world)
    await world.reconcile(KEY)

    both = {"Ingress catalog", "Gateway catalog", "HTTPRoute catalog", "HTTPRoute catalog.redirect"}
    assert there(world) == both
    assert not any("Ingress" in call for call in world.cluster.writes())
    assert "until then by Ingress of class nginx" in world.condition("Exposed")["message"]

    say(world, "HTTPRoute", "catalog")
    say(world, "HTTPRoute", "catalog.redirect")
    say(world, "Gateway", "catalog", status="False")
    await world.reconcile(KEY)
    assert there(world) == both

    say(world, "Gateway", "catalog")
    await world.reconcile(KEY)
    assert there(world) == both - {"Ingress catalog"}


async def test_the_ingress_stays_until_the_edge_had_its_time(world: Pass) -> None:
    """Taken up is what the edge says before all of it leads there."""
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)
    install(world)
    await world.reconcile(KEY)
    say(world, "HTTPRoute", "catalog", since=timestamp(world.now))
    world.now += timedelta(seconds=9)
    again = await world.reconcile(KEY)
    assert there(world) == {"Ingress catalog", "HTTPRoute catalog"}
    assert again is not None, "no event will tell that the time is over"

    world.now += timedelta(seconds=1)
    assert await world.reconcile(KEY) is None
    assert there(world) == {"HTTPRoute catalog"}


async def test_a_route_of_another_wish_counts_for_nothing(world: Pass) -> None:
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)
    install(world)
    await world.reconcile(KEY)
    world.edit(expose={"hosts": ["other.example"]})
    say(world, "HTTPRoute", "catalog")
    await world.reconcile(KEY)

    assert there(world) == {"Ingress catalog", "HTTPRoute catalog"}


async def test_a_refused_route_is_told_and_the_ingress_stays(world: Pass) -> None:
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)
    install(world)
    await world.reconcile(KEY)
    say(world, "HTTPRoute", "catalog", status="False")
    await world.reconcile(KEY)

    found = world.condition("Exposed")
    assert (found["status"], found["reason"]) == ("False", "NotRouted")
    assert "until then by Ingress of class nginx" in found["message"]
    assert there(world) == {"Ingress catalog", "HTTPRoute catalog"}


async def test_a_new_service_gets_no_ingress_where_there_is_gateway_api(world: Pass) -> None:
    install(world)
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)
    say(world, "HTTPRoute", "catalog")
    await world.reconcile(KEY)

    assert there(world) == {"HTTPRoute catalog"}
    assert world.condition("Exposed")["message"].endswith("by Gateway edge/public")


async def test_that_routes_may_not_be_looked_at_does_not_say_that_there_are_none(world: Pass) -> None:
    for kind in ROUTES:
        world.caches.serve(kind, None, Rejected("forbidden", status=403))
    world.edit(expose=EXPOSE)
    await world.reconcile(KEY)

    assert there(world) == set()
    assert world.condition("Exposed")["reason"] == "Forbidden"
