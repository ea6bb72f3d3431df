"""Exposed and CertificateReady, from what the controllers of the edge say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from productionservice.children import BuildContext, build_children
from productionservice.effective import compute_effective
from productionservice.errors import Unserved
from productionservice.live import Live
from productionservice.plan import Action, Applied, Change, Result, ref_of
from productionservice.status import certified, exposed
from productionservice.status.conditions import Finding
from productionservice.status.inputs import StatusInput
from tests.support.builders import make_service

HOSTS = ["catalog.example", "www.catalog.example"]
TLS = {"issuer": {"name": "acme"}}
Json = dict[str, Any]


def conditions(status: str, *types: str, **more: Any) -> list[Json]:
    given = {"reason": "Said", "message": "in words", "lastTransitionTime": "2026-01-01T00:00:00Z", **more}
    return [{"type": type_, "status": status, **given} for type_ in types]


def routes(status: str = "True", **more: Any) -> Json:
    return {"parents": [{"conditions": conditions(status, "Accepted", "ResolvedRefs", **more)}]}


FINE: dict[str, Json] = {
    "Gateway": {"conditions": conditions("True", "Accepted", "Programmed")},
    "HTTPRoute": routes(),
    "Certificate": {"conditions": conditions("True", "Ready"), "notAfter": "2027-01-01T00:00:00Z"},
}


def given(
    says: Mapping[str, Json] = FINE,
    *,
    taken: Mapping[str, str] | None = None,
    absent: str = "",
    **expose: Any,
) -> StatusInput:
    """After a pass in which all was as wanted, with these statuses by kind."""
    service = make_service(expose={"hosts": HOSTS, **expose}) if "hosts" not in expose else make_service()
    context, effective = BuildContext(taken=taken or {}), compute_effective(service.spec)
    results = []
    for manifest in build_children(service, effective, context):
        kind = manifest["kind"]
        body = {
            **manifest,
            "metadata": {**manifest["metadata"], "generation": 2},
            "status": says.get(kind, {}) if kind != "Deployment" else {},
        }
        error = Unserved("the cluster has none") if kind == absent else None
        live = None if error else Live.of(kind, body)
        action = Action.SKIPPED if error else Action.UNCHANGED
        results.append(Result(Change(action, ref_of(manifest), manifest, error=error), live, error))
    return StatusInput(service, effective, Applied(tuple(results)), None, (), context=context)


def said(finding: Finding | None) -> tuple[str, str]:
    assert finding is not None
    return finding.status.value, finding.reason.value


def test_a_service_that_is_not_exposed_says_nothing() -> None:
    inside = given(hosts=None)

    assert (exposed.evaluate(inside), certified.evaluate(inside), exposed.url(inside)) == (None, None, "")


@pytest.mark.parametrize(
    ("expose", "url"),
    [
        ({"tls": TLS}, "https://catalog.example"),
        ({}, "http://catalog.example"),
        ({"ingress": {"className": "nginx"}, "tls": TLS}, "https://catalog.example"),
    ],
)
def test_all_is_well(expose: Json, url: str) -> None:
    found = given(**expose)

    assert said(exposed.evaluate(found)) == ("True", "Exposed")
    assert exposed.url(found) == url
    certificate = certified.evaluate(found)
    assert (said(certificate) if certificate else None) == (
        ("True", "CertificateIssued") if "tls" in expose else None
    )


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({"Gateway": {}}, ("Unknown", "Exposing")),
        ({"HTTPRoute": {}}, ("Unknown", "Exposing")),
        ({"HTTPRoute": routes("Unknown")}, ("Unknown", "Exposing")),
        ({"HTTPRoute": routes("False")}, ("False", "NotRouted")),
        ({"HTTPRoute": routes("False", observedGeneration=1)}, ("Unknown", "Exposing")),
        ({"Gateway": {"conditions": conditions("False", "Accepted")}}, ("False", "NotRouted")),
        (
            {"Gateway": {"conditions": conditions("False", "Accepted")}, "Certificate": {}},
            ("Unknown", "Exposing"),
        ),
        ({"Certificate": {}}, ("Unknown", "Exposing")),
    ],
)
def test_what_the_edge_says_is_passed_on(says: dict[str, Json], expected: tuple[str, str]) -> None:
    assert said(exposed.evaluate(given({**FINE, **says}, tls=TLS))) == expected


def test_one_parent_that_is_not_content_is_enough() -> None:
    both = {"parents": [*routes()["parents"], *routes("False")["parents"]]}

    assert said(exposed.evaluate(given({**FINE, "HTTPRoute": both}))) == ("False", "NotRouted")


def test_a_host_of_somebody_else_is_named_and_the_others_are_served() -> None:
    found = given(taken={HOSTS[0]: "web/shop"}, tls=TLS)
    finding = exposed.evaluate(found)

    assert said(finding) == ("False", "HostTaken")
    assert finding is not None
    assert "catalog.example belongs to web/shop" in finding.message
    assert exposed.url(found) == "https://www.catalog.example"


def test_a_gateway_that_is_not_offered_is_refused_in_words() -> None:
    found = given(gateway={"namespace": "other", "name": "theirs"}, tls=TLS)
    finding = exposed.evaluate(found)

    assert said(finding) == ("False", "GatewayNotOffered")
    assert finding is not None
    assert "does not offer other/theirs: write edge/public" in finding.message
    assert exposed.url(found) == ""
    assert certified.evaluate(found) is None


def test_what_an_ingress_cannot_do_is_in_the_condition() -> None:
    finding = exposed.evaluate(given(ingress={"className": "nginx"}, timeoutSeconds=30))

    assert said(finding) == ("True", "Exposed")
    assert finding is not None
    assert finding.message.endswith(
        "by Ingress of class nginx; without spec.expose.timeoutSeconds, for which an Ingress has no field"
    )


def test_without_any_host_left_nothing_is_made() -> None:
    found = given(taken=dict.fromkeys(HOSTS, "web/shop"), tls=TLS)

    assert {r.change.ref.kind for r in found.applied.results} & {*FINE, "Ingress"} == set()
    assert exposed.url(found) == ""
    assert said(exposed.evaluate(found)) == ("False", "HostTaken")


@pytest.mark.parametrize("kind", ["Gateway", "HTTPRoute", "Certificate"])
def test_a_kind_that_the_cluster_has_not_is_said(kind: str) -> None:
    found = given(absent=kind, tls=TLS)
    finding = certified.evaluate(found) if kind == "Certificate" else exposed.evaluate(found)

    assert said(finding) == ("False", "CRDNotInstalled")


@pytest.mark.parametrize(
    ("certificate", "expected", "words"),
    [
        ({}, ("Unknown", "Issuing"), "has not looked"),
        ({"conditions": conditions("False", "Ready")}, ("Unknown", "Issuing"), "in words"),
        (
            {"conditions": [*conditions("False", "Ready"), *conditions("False", "Issuing", message="no")]},
            ("False", "IssuanceFailed"), "since 2026-01-01T00:00:00Z: no",
        ),
        (
            {**FINE["Certificate"], "conditions": [*conditions("True", "Ready"), *conditions("True", "Issuing")]},
            ("True", "CertificateIssued"), "until 2027-01-01T00:00:00Z",
        ),
        (
            {**FINE["Certificate"], "conditions": [*conditions("True", "Ready"), *conditions("False", "Issuing")]},
            ("False", "RenewalFailed"), "until 2027-01-01T00:00:00Z, but its renewal fails since 2026",
        ),
    ],
)  # fmt: skip
def test_the_certificate(certificate: Json, expected: tuple[str, str], words: str) -> None:
    finding = certified.evaluate(given({**FINE, "Certificate": certificate}, tls=TLS))

    assert said(finding) == expected
    assert finding is not None
    assert words in finding.message
