"""By what way a service is reached: as the spec, the platform and the cluster say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from productionservice.children import BuildContext, Manifest
from productionservice.children.context import EdgeGateway, Pods
from productionservice.children.exposure import refusal, unheeded
from tests.support.builders import make_service, rendered

BOTH = BuildContext(edge_ingress_class="nginx")
ONLY_GATEWAY = BuildContext()
ONLY_INGRESS = BuildContext(edge_gateway=None, edge_ingress_class="nginx")
INTERNAL = EdgeGateway("inside", "internal", "web", "private", Pods("inside", {"app": "proxy"}))
NONE = frozenset({"HTTPRoute", "Gateway"})
INGRESS = {"ingress": {"className": "own"}}
GATEWAY = {"gateway": {"namespace": "inside", "name": "internal"}}
TLS = {"tls": {"issuer": {"name": "acme"}}}
Json = dict[str, Any]


@pytest.mark.parametrize(
    ("platform", "absent", "expose", "kind"),
    [
        (BOTH, frozenset(), {}, "HTTPRoute"),
        (BOTH, NONE, {}, "Ingress"),
        (BOTH, {"Certificate"}, {}, "HTTPRoute"),
        (BOTH, frozenset(), INGRESS, "Ingress"),
        (ONLY_GATEWAY, frozenset(), {}, "HTTPRoute"),
        (ONLY_GATEWAY, NONE, {}, "HTTPRoute"),
        (ONLY_INGRESS, frozenset(), {}, "Ingress"),
        (ONLY_INGRESS, NONE, {}, "Ingress"),
        (ONLY_INGRESS, NONE, GATEWAY, "HTTPRoute"),
        (BOTH, NONE, GATEWAY, "HTTPRoute"),
    ],
)
def test_one_way_is_chosen(platform: BuildContext, absent: frozenset[str], expose: Json, kind: str) -> None:
    context = replace(platform, edge_gateways=(INTERNAL,), absent=frozenset(absent))
    made = rendered(make_service(expose={"hosts": ["a.example"], **expose}), context)

    assert [m["kind"] for m in made if m["kind"] in {"HTTPRoute", "Ingress"}] == [kind]


def test_the_ingress_that_stands_in_is_of_the_platforms_class() -> None:
    context = BuildContext(edge_ingress_class="nginx", absent=NONE)
    made = {m["kind"]: m for m in rendered(make_service(expose={"hosts": ["a.example"]}), context)}

    assert made["Ingress"]["spec"]["ingressClassName"] == "nginx"


def test_until_the_routes_lead_to_it_both_are_wanted() -> None:
    context = BuildContext(edge_ingress_class="nginx", moving=True)
    made = [m["kind"] for m in rendered(make_service(expose={"hosts": ["a.example"]}), context)]

    assert {"HTTPRoute", "Ingress"} <= set(made)


def by_name(context: BuildContext, **expose: Any) -> dict[tuple[str, str], Manifest]:
    """The children of a service with one host, by kind and name."""
    made = rendered(make_service(expose={"hosts": ["a.example"], **expose}), context)
    return {(m["kind"], m["metadata"]["name"]): m for m in made}


def let_in(found: dict[tuple[str, str], Manifest]) -> list[Json]:
    """Whom the NetworkPolicy lets to the pods, scraping aside."""
    rules: list[Json] = found["NetworkPolicy", "catalog"]["spec"]["ingress"]
    return [peer for rule in rules if rule["ports"][0]["port"] == "http" for peer in rule["from"]]


def test_the_gateway_that_the_spec_names_is_joined_with_all_that_belongs_to_it() -> None:
    found = by_name(replace(ONLY_GATEWAY, edge_gateways=(INTERNAL,)), **GATEWAY, **TLS)

    (parent,) = found["HTTPRoute", "catalog.redirect"]["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"], parent["sectionName"]) == ("inside", "internal", "web")
    assert found["Gateway", "catalog"]["spec"]["gatewayClassName"] == "private"
    assert let_in(found) == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "inside"}},
            "podSelector": {"matchLabels": {"app": "proxy"}},
        }
    ]


def test_the_platforms_own_gateway_may_be_named_as_well() -> None:
    named = by_name(ONLY_GATEWAY, gateway={"namespace": "edge", "name": "public"}, **TLS)

    assert named == by_name(ONLY_GATEWAY, **TLS)


def test_while_it_moves_the_pods_of_both_ways_are_let_in() -> None:
    own = replace(INTERNAL, pods=Pods("inside"))
    context = BuildContext(edge_gateway=own, edge_ingress_class="nginx", moving=True)
    names = [peer["namespaceSelector"]["matchLabels"] for peer in let_in(by_name(context))]

    assert [name["kubernetes.io/metadata.name"] for name in names] == ["inside", "edge"]


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (ONLY_GATEWAY, "write edge/public, or leave it out"),
        (replace(ONLY_GATEWAY, edge_gateways=(INTERNAL,)), "write edge/public or inside/internal, or leave"),
        (replace(ONLY_INGRESS, edge_gateways=(INTERNAL,)), "write inside/internal, or leave it out"),
        (ONLY_INGRESS, "the platform offers no Gateway, and so not other/theirs: leave it out"),
    ],
)
def test_nothing_leads_through_a_gateway_that_is_not_offered(platform: BuildContext, words: str) -> None:
    theirs = {"gateway": {"namespace": "other", "name": "theirs"}}
    service = make_service(expose={"hosts": ["a.example"], **theirs, **TLS})
    found = by_name(platform, **theirs, **TLS)

    assert {kind for kind, _ in found} & {"HTTPRoute", "Gateway", "Ingress", "Certificate"} == set()
    assert let_in(found) == []
    assert words in refusal(service, platform)


def at_the_edge(**expose: Any) -> Json:
    """The rule of the route that leads to the service."""
    found = by_name(ONLY_GATEWAY, **expose)
    (rule,) = found["HTTPRoute", "catalog"]["spec"]["rules"]
    return dict(rule)


def headers(rule: Json) -> Json:
    (modifier,) = rule["filters"]
    return {each["name"]: each["value"] for each in modifier["responseHeaderModifier"]["set"]}


def test_headers_are_set_beside_those_that_are_always_there() -> None:
    policy = {"name": "Referrer-Policy", "value": "no-referrer"}

    assert headers(at_the_edge(headers=[policy])) == {
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    }  # fmt: skip
    assert headers(at_the_edge(headers=[policy], **TLS)).keys() == {
        "X-Content-Type-Options", "Strict-Transport-Security", "Referrer-Policy",
    }  # fmt: skip


def test_the_spec_has_the_last_word_on_a_header_whatever_its_capitals() -> None:
    longer = {"name": "strict-transport-security", "value": "max-age=63072000; includeSubDomains"}
    found = headers(at_the_edge(headers=[longer], **TLS))

    assert found == {
        "X-Content-Type-Options": "nosniff", "strict-transport-security": longer["value"],
    }  # fmt: skip


def test_the_redirect_sets_no_headers_and_has_no_limit() -> None:
    policy = {"name": "Referrer-Policy", "value": "no-referrer"}
    found = by_name(ONLY_GATEWAY, headers=[policy], timeoutSeconds=30, **TLS)
    plain = by_name(ONLY_GATEWAY, **TLS)

    assert found["HTTPRoute", "catalog.redirect"] == plain["HTTPRoute", "catalog.redirect"]


def test_as_many_headers_as_the_schema_lets_be_fit_into_one_filter() -> None:
    rule = at_the_edge(headers=[{"name": f"X-{n}", "value": "x"} for n in range(12)], **TLS)

    assert len(headers(rule)) <= 16  # of Gateway API


def test_a_time_limit_is_in_the_form_of_gateway_api() -> None:
    assert at_the_edge(timeoutSeconds=90)["timeouts"] == {"request": "90s"}
    assert "timeouts" not in at_the_edge()


@pytest.mark.parametrize(
    ("platform", "way", "said"),
    [
        (ONLY_GATEWAY, {}, []),
        (ONLY_GATEWAY, INGRESS, ["spec.expose.headers", "spec.expose.timeoutSeconds"]),
        (replace(BOTH, absent=NONE), {}, ["spec.expose.headers", "spec.expose.timeoutSeconds"]),
        (replace(BOTH, moving=True), {}, []),
    ],
)
def test_what_an_ingress_cannot_do_is_said(platform: BuildContext, way: Json, said: list[str]) -> None:
    asked = {"headers": [{"name": "X-A", "value": "b"}], "timeoutSeconds": 30}
    full, plain = (make_service(expose={"hosts": ["a.example"], **way, **more}) for more in (asked, {}))

    assert [problem.field for problem in unheeded(full, platform)] == said
    assert unheeded(plain, platform) == []
