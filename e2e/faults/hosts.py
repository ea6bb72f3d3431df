"""Faults between services: two that claim the same host."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.eventually import eventually
from e2e.faults.registry import fault
from e2e.faults.world import World
from tests.api.team import Team

HOST, OTHER = "f27.shop.example.com", "f27.catalog.example.com"
"""Of this scenario alone."""
EXPOSE = {"hosts": [HOST], "ingress": {"className": "nginx"}}


@contextmanager
def _neighbour(world: World) -> Iterator[Team]:
    """Another team, in a namespace of its own. No name is used twice: its services stay while a run goes on."""
    name = f"neighbour-{uuid.uuid4().hex[:8]}"
    world.cluster.kubectl("create", "namespace", name)
    try:
        yield Team(world.cluster, world.operator, name, world.folder)
    finally:
        world.cluster.kubectl("delete", "namespace", name, "--wait=false")


def _hosts(team: Team) -> list[str]:
    """What the Ingress of `catalog` routes; nothing without one."""
    found = json.loads(team.kubectl("get", "ingress", "-o", "json"))["items"]
    return [rule["host"] for ingress in found for rule in ingress["spec"]["rules"]]


@fault(
    "F27",
    "two services claim one host, before and after the operator dies; then the older one goes",
    "the older has it throughout, its route untouched; the other says HostTaken, and gets it when it is free",
)
def host_claimed_twice(world: World) -> None:
    with _neighbour(world) as older:
        older.apply(expose=EXPOSE)
        older.converged()
        older.a_second_old()
        route = older.get("ingress")["metadata"]
        world.apply(expose={"hosts": [HOST, OTHER], "ingress": {"className": "nginx"}})
        world.converged()
        _refused(world, older)

        world.operator.kill()
        world.operator.again()
        world.kubectl("annotate", "psvc", "catalog", "example/touched=yes")
        world.converged()
        _refused(world, older)
        kept = older.get("ingress")["metadata"]
        assert _identity(kept) == _identity(route), "the older one's route was written"

        older.kubectl("delete", "psvc", "catalog", "--wait=true")
        world.until(lambda: _hosts(world) == [HOST, OTHER], "the host is the younger one's")
        world.until(lambda: world.reason("Exposed") == "Exposed", "and its status says so")
        world.holds()


def _refused(world: World, older: Team) -> None:
    eventually(lambda: _named(world, f"{older.namespace}/catalog"))
    assert _hosts(world) == [OTHER]
    assert _hosts(older) == [HOST]


def _named(world: World, holder: str) -> None:
    exposed = world.condition("Exposed")
    assert exposed["reason"] == "HostTaken", exposed
    assert holder in exposed["message"], exposed


def _identity(metadata: dict[str, Any]) -> tuple[str, str]:
    return metadata["uid"], metadata["resourceVersion"]
