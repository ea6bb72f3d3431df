"""What a pass makes of a service that moves from one of the platform's Gateways to another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from productionservice.children import BuildContext
from productionservice.children.context import EdgeGateway, Pods
from productionservice.engine.client import Client
from productionservice.engine.events import Recorder
from productionservice.reconcile import Reconciler
from productionservice.status.conditions import timestamp
from tests.operator.test_reconcile import KEY, Pass

PUBLIC = EdgeGateway()
INTERNAL = EdgeGateway("inside", "internal", pods=Pods("inside"))
PARTNERS = EdgeGateway("dmz", "partners", pods=Pods("dmz"))
PLATFORM = BuildContext(edge_gateway=PUBLIC, edge_gateways=(INTERNAL, PARTNERS))
HOSTS = ["catalog.example"]
TLS = {"tls": {"issuer": {"name": "acme"}}}


@pytest.fixture
def world() -> Pass:
    return Pass(PLATFORM)


def to(gateway: EdgeGateway, **more: Any) -> dict[str, Any]:
    return {"hosts": HOSTS, "gateway": {"namespace": gateway.namespace, "name": gateway.name}, **more}


def parents(world: Pass, name: str = "catalog") -> list[str]:
    """Which Gateways the route names."""
    references = world.cluster.objects["HTTPRoute", name]["spec"]["parentRefs"]
    return [f"{each.get('namespace', 'shop')}/{each['name']}" for each in references]


def let_in(world: Pass) -> set[str]:
    """From which namespaces the traffic port may be reached, but for Prometheus."""
    rules = world.cluster.objects["NetworkPolicy", "catalog"]["spec"]["ingress"]
    peers = [peer for rule in rules for peer in rule["from"]]
    names = {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers}
    return names - {"monitoring"}


def say(
    world: Pass, *gateways: EdgeGateway, name: str = "catalog", status: str = "True", since: str = ""
) -> None:
    """What these Gateways say of the newest route; the others say what they said of an older one."""
    body = world.cluster.objects["HTTPRoute", name]
    before = (body.get("status") or {}).get("parents", [])
    generation = body["metadata"]["generation"] = body["metadata"].get("generation", 1) + 1
    of_old = [{**each, "conditions": _conditions("True", generation - 1)} for each in before]
    said = [
        {"parentRef": {"namespace": each.namespace, "name": each.name}, "conditions": conditions}
        for each in gateways
        for conditions in [_conditions(status, generation, since)]
    ]
    named = [each["parentRef"] for each in said]
    body["status"] = {"parents": [*said, *(each for each in of_old if each["parentRef"] not in named)]}
    world.caches.children["HTTPRoute"].put(
        world.cluster.store("HTTPRoute", body, uid=body["metadata"]["uid"])
    )


def _conditions(status: str, generation: int, since: str = "") -> list[dict[str, Any]]:
    said = {"status": status, "reason": "Said", "message": "no", "observedGeneration": generation}
    said |= {"lastTransitionTime": since} if since else {}
    return [{"type": type_, **said} for type_ in ("Accepted", "ResolvedRefs")]


async def exposed(world: Pass, expose: dict[str, Any], *by: EdgeGateway) -> None:
    world.edit(expose=expose)
    await world.reconcile(KEY)
    say(world, *by)
    await world.reconcile(KEY)
    assert world.condition("Exposed")["status"] == "True"


async def test_the_old_gateway_leads_to_it_until_the_new_one_does(world: Pass) -> None:
    await exposed(world, {"hosts": HOSTS}, PUBLIC)
    assert (parents(world), let_in(world)) == (["edge/public"], {"edge"})

    world.edit(expose=to(INTERNAL))
    await world.reconcile(KEY)
    say(world, PUBLIC)
    await world.reconcile(KEY)
    assert (parents(world), let_in(world)) == (["inside/internal", "edge/public"], {"inside", "edge"})
    found = world.condition("Exposed")
    assert (found["status"], found["reason"]) == ("Unknown", "Exposing")
    assert found["message"] == (
        "Gateway inside/internal is taking up its routes; until then by Gateway edge/public"
    )

    say(world, PUBLIC, INTERNAL)
    await world.reconcile(KEY)
    assert (parents(world), let_in(world)) == (["inside/internal"], {"inside"})
    say(world, INTERNAL)
    await world.reconcile(KEY)
    assert world.condition("Exposed")["message"].endswith("by Gateway inside/internal")


async def test_the_new_gateway_gets_its_time_after_it_says_that_it_leads_to_it(world: Pass) -> None:
    await exposed(world, {"hosts": HOSTS}, PUBLIC)
    world.edit(expose=to(INTERNAL))
    await world.reconcile(KEY)
    say(world, PUBLIC, INTERNAL, since=timestamp(world.now))
    world.now += timedelta(seconds=9)
    assert await world.reconcile(KEY) is not None
    assert parents(world) == ["inside/internal", "edge/public"]

    world.now += timedelta(seconds=1)
    await world.reconcile(KEY)
    assert parents(world) == ["inside/internal"]


async def test_one_that_refuses_the_route_leaves_the_old_one_at_work_and_is_told(world: Pass) -> None:
    await exposed(world, to(PUBLIC), PUBLIC)
    world.edit(expose=to(INTERNAL))
    await world.reconcile(KEY)
    say(world, INTERNAL, status="False")
    await world.reconcile(KEY)

    assert parents(world) == ["inside/internal", "edge/public"]
    found = world.condition("Exposed")
    assert (found["status"], found["reason"]) == ("False", "NotRouted")
    assert found["message"].endswith("; until then by Gateway edge/public")


async def test_who_changes_his_mind_meanwhile_keeps_what_led_to_it(world: Pass) -> None:
    await exposed(world, to(PUBLIC), PUBLIC)
    world.edit(expose=to(INTERNAL))
    await world.reconcile(KEY)
    world.edit(expose=to(PARTNERS))
    await world.reconcile(KEY)
    assert parents(world) == ["dmz/partners", "edge/public", "inside/internal"]

    world.edit(expose=to(PUBLIC))
    await world.reconcile(KEY)
    say(world, PUBLIC)
    await world.reconcile(KEY)
    assert parents(world) == ["edge/public"]


async def test_with_tls_the_redirect_moves_and_its_own_gateway_stays(world: Pass) -> None:
    await exposed_with_tls(world)
    world.edit(expose=to(INTERNAL, **TLS))
    await world.reconcile(KEY)
    assert parents(world, "catalog.redirect") == ["inside/internal", "edge/public"]
    assert parents(world) == ["shop/catalog"]

    say(world, INTERNAL, name="catalog.redirect")
    await world.reconcile(KEY)
    assert parents(world, "catalog.redirect") == ["inside/internal"]


async def exposed_with_tls(world: Pass) -> None:
    world.edit(expose=to(PUBLIC, **TLS))
    await world.reconcile(KEY)
    say(world, PUBLIC, name="catalog.redirect")
    await world.reconcile(KEY)
    assert parents(world, "catalog.redirect") == ["edge/public"]


async def test_a_gateway_that_the_platform_has_withdrawn_is_left_at_once(world: Pass) -> None:
    await exposed(world, to(INTERNAL), INTERNAL)
    withdrawn = replace(PLATFORM, edge_gateways=())
    world.reconcile = Reconciler(
        cast("Client", world.cluster), world.caches, cast("Recorder", world), withdrawn, now=lambda: world.now
    )
    world.edit(expose=to(PUBLIC))
    await world.reconcile(KEY)

    assert (parents(world), let_in(world)) == (["edge/public"], {"edge"})
