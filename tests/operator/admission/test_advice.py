"""What the webhook says about an object, and when it keeps silent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given

from productionservice.admission.advice import LONGEST, MOST, advise
from productionservice.admission.known import Known
from productionservice.children import BuildContext
from productionservice.children.references import Source
from productionservice.engine.answers import NotFound
from productionservice.engine.caches import Caches
from tests.support.builders import IMAGE
from tests.support.specs import specs

SECRET = ("Secret", "db")
PASSWORD = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


@dataclass
class Namespace:
    """A namespace that is known: these services, and these keys of Secrets and ConfigMaps."""

    services: set[str] = field(default_factory=set)
    keys: dict[Source, frozenset[str] | None] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()

    def has_service(self, namespace: str, name: str) -> bool:
        assert namespace == "shop"
        return name in self.services

    def absent(self, namespace: str) -> frozenset[str]:
        assert namespace == "shop"
        return self.lacks

    def keys_of(
        self, namespace: str, sources: Collection[Source]
    ) -> Mapping[Source, frozenset[str] | None] | None:
        assert namespace == "shop"
        return {source: keys for source, keys in self.keys.items() if source in sources}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "catalog", "namespace": "shop"}, "spec": {"image": IMAGE, **spec}}


def warnings(world: Namespace | None = None, zones: int | None = None, **spec: Any) -> list[str]:
    return advise(body(**spec), world or Namespace(), zones)


def test_nothing_is_said_of_a_service_that_is_as_it_should_be() -> None:
    world = Namespace({"web"}, {SECRET: frozenset({"password"})})

    assert warnings(world, env=[PASSWORD], network={"allowFrom": [{"service": "web"}]}) == []


def test_a_risk_is_named_with_what_to_expect_of_the_whole() -> None:
    assert warnings(replicas={"min": 1}) == [
        "spec.replicas.min: one pod in production: a drain interrupts the service; write 2 or more",
        "what to expect: with 1 pod, and 1 more during a rollout, a node drained then leaves 0 of 1 and waits at "
        "most 35 s a pod, then up to 60 s for its replacement; a lost zone leaves 0 of 1",
    ]


def test_a_gateway_that_is_not_offered_is_named_with_those_that_are() -> None:
    expose = {"hosts": ["catalog.example"], "gateway": {"namespace": "other", "name": "theirs"}}

    assert warnings(expose=expose) == [
        "spec.expose.gateway: the platform does not offer other/theirs: write edge/public, or leave it out; until "
        "then nothing is exposed"
    ]


LIMITED = {"hosts": ["catalog.example"], "timeoutSeconds": 30}
NO_FIELD = (
    "spec.expose.timeoutSeconds: has no effect: an Ingress has no field for it; let the service see to it, or "
    "expose it by Gateway API"
)


def test_what_an_ingress_cannot_do_is_said_only_where_there_is_one() -> None:
    both = BuildContext(edge_ingress_class="nginx")

    assert warnings(expose={**LIMITED, "ingress": {"className": "nginx"}}) == [NO_FIELD]
    assert warnings(expose=LIMITED) == []
    assert advise(body(expose=LIMITED), Namespace(), None, both) == []
    assert advise(body(expose=LIMITED), Namespace(lacks=frozenset({"HTTPRoute"})), None, both) == [NO_FIELD]


def test_the_number_of_zones_is_taken_into_account() -> None:
    required = warnings(zones=1, availability={"zones": "Required"})

    assert required[0].startswith("spec.availability.zones: Required: all nodes are in 1 zone")
    assert warnings(zones=3, availability={"zones": "Required"}) == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {},
            "spec.env PASSWORD: there is no Secret 'db' in namespace shop yet, and pods need it; create it, or write "
            "the name of one that there is",
        ),
        (
            {SECRET: frozenset({"user"})},
            "spec.env PASSWORD: Secret 'db' in namespace shop has no key 'password' yet, and pods need it; create "
            "it, or write a key that there is",
        ),
    ],
    ids=["object", "key"],
)
def test_a_reference_to_nothing_is_a_warning(keys: dict[Source, frozenset[str] | None], said: str) -> None:
    assert warnings(Namespace(keys=keys), env=[PASSWORD]) == [said]


def test_keys_that_nobody_recorded_are_not_missed() -> None:
    assert warnings(Namespace(keys={SECRET: None}), env=[PASSWORD]) == []


def test_callers_that_do_not_exist_are_a_warning_each_but_never_the_service_itself() -> None:
    network = {
        "allowFrom": [{"service": "web"}, {"service": "catalog"}, {"cidr": "10.0.0.0/8"}],
        "allowTo": [{"service": "stock"}],
    }
    there_is_no = "there is no ProductionService"
    advice = "in namespace shop yet; create it, or write the name of one that there is"

    assert warnings(network=network) == [
        f"spec.network.allowFrom[0].service: {there_is_no} 'web' {advice}",
        f"spec.network.allowTo[0].service: {there_is_no} 'stock' {advice}",
    ]


def test_what_the_crd_would_refuse_is_said_as_well() -> None:
    assert warnings(replicas={"min": 3, "max": 2}) == [
        "spec.replicas: min 3 is more than max 2: write a max of 3 or more"
    ]


def test_more_than_the_api_server_passes_on_is_counted() -> None:
    peers = [{"service": f"s{number}"} for number in range(20)]
    said = warnings(network={"allowFrom": peers})

    assert len(said) == MOST
    assert said[-1] == "and 6 more"


def test_a_replica_that_does_not_know_everything_misses_nothing() -> None:
    complete = False
    caches = Caches()
    caches.serve("HTTPRoute", None, NotFound("no such kind"))
    known, both = Known(caches, lambda: complete), BuildContext(edge_ingress_class="nginx")
    spec: dict[str, Any] = {
        "env": [PASSWORD],
        "network": {"allowFrom": [{"service": "web"}]},
        "expose": LIMITED,
    }

    assert advise(body(**spec), known, None, both) == []
    complete = True
    assert len(advise(body(**spec), known, None, both)) == 3


@given(spec=specs)
def test_whatever_is_accepted_gets_an_answer_that_fits(spec: dict[str, Any]) -> None:
    said = advise(body(**spec), Namespace(), 2)

    assert len(said) <= MOST
    assert all(len(line) <= LONGEST and "\n" not in line for line in said)
