"""`spec.expose` with the operator at work, on a real API server with the real CRDs and nobody who implements them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.audit import AuditLog
from e2e.cluster.providers import Cluster
from e2e.crds import install_every_kind
from e2e.eventually import eventually
from productionservice.children import CHILDREN
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team

pytestmark = pytest.mark.api

TLS = {"issuer": {"name": "acme"}}
OFFERED = {"namespace": "edge", "name": "public"}
AT_THE_EDGE: dict[str, Any] = {
    "headers": [{"name": "Referrer-Policy", "value": "no-referrer"}],
    "timeoutSeconds": 30,
}
NOT_OFFERED = {"namespace": "other", "name": "theirs"}
EDGE = {"Gateway", "HTTPRoute", "Ingress", "Certificate"}
PLURALS = {kind.kind: f"{kind.plural}.{kind.group}" for kind, _ in CHILDREN if kind.kind in EDGE}


@pytest.fixture(autouse=True)
def kinds(api_cluster: Cluster) -> None:
    """Other modules take CRDs away."""
    install_every_kind(api_cluster)


def made(team: Team) -> set[str]:
    """What is there for the edge, as kind/name."""
    return {
        f"{kind}/{item['metadata']['name']}"
        for kind, plural in PLURALS.items()
        for item in json.loads(team.kubectl("get", plural, "-o", "json"))["items"]
    }


def say(team: Team, kind: str, status: dict[str, Any], name: str = "catalog") -> None:
    """What a controller says of a child."""
    patch = json.dumps({"status": status})
    team.kubectl("patch", PLURALS[kind], name, "--subresource=status", "--type=merge", "-p", patch)


def conditions(status: str, *types: str, **more: str) -> list[dict[str, Any]]:
    given = {"reason": "Said", "message": "by a test", "lastTransitionTime": "2026-01-01T00:00:00Z", **more}
    return [{"type": type_, "status": status, **given} for type_ in types]


def routed(team: Team, name: str) -> None:
    """The edge has taken up a route."""
    parents = team.get(PLURALS["HTTPRoute"], name)["spec"]["parentRefs"]
    said = conditions("True", "Accepted", "ResolvedRefs")
    entry = {"parentRef": parents[0], "controllerName": "example.test/edge", "conditions": said}
    say(team, "HTTPRoute", {"parents": [entry]}, name)


def has(team: Team, type_: str, status: str, reason: str, *words: str, name: str = "catalog") -> None:
    def check() -> None:
        found = team.condition(type_, name)
        assert (found["status"], found["reason"]) == (status, reason), found
        assert [word for word in words if word not in found["message"]] == []

    eventually(check, timeout=30)


def test_on_off_and_by_the_other_way(team: Team) -> None:
    by_gateway = {"Gateway/catalog", "HTTPRoute/catalog", "HTTPRoute/catalog.redirect", "Certificate/catalog"}
    ways: list[tuple[dict[str, Any], set[str]]] = [
        ({"expose": {"hosts": [f"{team.namespace}.example"], "tls": TLS}}, by_gateway),
        ({}, set()),
        ({"expose": {"hosts": [f"{team.namespace}.example"]}}, {"HTTPRoute/catalog"}),
        ({"expose": {"hosts": [f"{team.namespace}.example"], **AT_THE_EDGE}}, {"HTTPRoute/catalog"}),
        (
            {"expose": {"hosts": [f"{team.namespace}.example"], "ingress": {"className": "x"}, "tls": TLS}},
            {"Ingress/catalog", "Certificate/catalog"},
        ),
        ({"expose": {"hosts": [f"{team.namespace}.example"], "tls": TLS}}, by_gateway),
        ({"expose": {"hosts": [f"{team.namespace}.example"], "tls": TLS, "gateway": NOT_OFFERED}}, set()),
        ({"expose": {"hosts": [f"{team.namespace}.example"], "tls": TLS, "gateway": OFFERED}}, by_gateway),
    ]
    for spec, wanted in ways:
        team.apply(**spec)
        team.converged()

        def as_wanted(wanted: set[str] = wanted) -> None:
            assert made(team) == wanted

        eventually(as_wanted, timeout=30)


def test_headers_and_a_time_limit_come_and_go(team: Team) -> None:
    hosts = [f"{team.namespace}.example"]
    always = [{"name": "X-Content-Type-Options", "value": "nosniff"}]
    wanted = [(always, None), ([*always, *AT_THE_EDGE["headers"]], {"request": "30s"})]
    for on in (False, True, False, True):
        team.apply(expose={"hosts": hosts, **(AT_THE_EDGE if on else {})})
        team.converged()
        (rule,) = team.get(PLURALS["HTTPRoute"])["spec"]["rules"]

        assert (rule["filters"][0]["responseHeaderModifier"]["set"], rule.get("timeouts")) == wanted[on]


def test_what_an_ingress_cannot_do_is_a_problem_and_in_the_condition(team: Team) -> None:
    team.apply(expose={"hosts": [f"{team.namespace}.example"], "ingress": {"className": "x"}, **AT_THE_EDGE})
    team.converged()

    has(team, "Exposed", "True", "Exposed", "without spec.expose.headers and spec.expose.timeoutSeconds")
    fields = [problem["field"] for problem in team.get("psvc")["status"]["problems"]]
    assert {"spec.expose.headers", "spec.expose.timeoutSeconds"} <= set(fields)


WAYS: list[dict[str, Any]] = [AT_THE_EDGE, {"ingress": {"className": "x"}}]


@pytest.mark.parametrize("ingress", WAYS, ids=["gateway", "ingress"])
def test_an_unchanged_service_is_written_once(team: Team, ingress: dict[str, Any]) -> None:
    team.apply(expose={"hosts": [f"{team.namespace}.example", "b.example.test"], "tls": TLS, **ingress})
    team.converged()
    team.settled()
    log = AuditLog(team.cluster.audit_log)
    team.repair()

    def repaired() -> None:
        assert team.writes(log), "the log is written a moment later"

    eventually(repaired, timeout=10)
    assert [
        write
        for write in team.writes(log)
        if any(plural.partition(".")[0] in write for plural in PLURALS.values())
    ] == []


def test_the_conditions_follow_the_edge_and_the_certificate(team: Team) -> None:
    host = f"{team.namespace}.example"
    team.apply(expose={"hosts": [host], "tls": TLS})
    team.converged()
    assert team.get("psvc")["status"]["url"] == f"https://{host}"
    has(team, "Exposed", "Unknown", "Exposing", "Gateway catalog is not Accepted yet")
    has(team, "CertificateReady", "Unknown", "Issuing")

    unready = conditions("False", "Programmed", reason="Invalid", message="no Secret")
    say(team, "Gateway", {"conditions": [*conditions("True", "Accepted"), *unready]})
    has(team, "Exposed", "Unknown", "Exposing", "waiting for the certificate", "no Secret")
    say(team, "Certificate", {"conditions": conditions("True", "Ready"), "notAfter": "2027-01-01T00:00:00Z"})
    has(team, "CertificateReady", "True", "CertificateIssued", "2027-01-01T00:00:00Z")
    has(team, "Exposed", "False", "NotRouted", "Gateway catalog", "Programmed", "no Secret")

    say(team, "Gateway", {"conditions": conditions("True", "Accepted", "Programmed")})
    has(team, "Exposed", "Unknown", "Exposing", "HTTPRoute")
    routed(team, "catalog")
    routed(team, "catalog.redirect")
    has(team, "Exposed", "True", "Exposed", f"https://{host}")

    failed = conditions("False", "Issuing", reason="Failed", message="the issuer said no")
    say(team, "Certificate", {"conditions": [*conditions("True", "Ready"), *failed]})
    has(team, "CertificateReady", "False", "RenewalFailed", "2027-01-01", "since 2026-01-01", "said no")
    has(team, "Exposed", "True", "Exposed")


def test_a_gateway_that_is_not_offered_is_told_and_nothing_leads_through_it(team: Team) -> None:
    team.apply(expose={"hosts": [f"{team.namespace}.example"], "gateway": NOT_OFFERED})
    team.converged()

    has(team, "Exposed", "False", "GatewayNotOffered", "other/theirs", "write edge/public")
    assert made(team) == set()
    assert team.get("psvc")["status"]["url"].startswith("http://catalog.")


def test_the_older_service_has_a_host_until_it_lets_go(team: Team) -> None:
    host, own = f"{team.namespace}.example", f"own.{team.namespace}.example"
    team.apply(expose={"hosts": [host]})
    team.converged()
    team.a_second_old()
    team.apply("younger", expose={"hosts": [host, own], "tls": TLS})
    team.converged("younger")

    has(team, "Exposed", "False", "HostTaken", host, f"{team.namespace}/catalog", name="younger")
    assert team.get(PLURALS["HTTPRoute"], "younger")["spec"]["hostnames"] == [own]
    assert team.get(PLURALS["Certificate"], "younger")["spec"]["dnsNames"] == [own]
    assert team.get("psvc", "younger")["status"]["url"] == f"https://{own}"

    team.kubectl("delete", "psvc", "catalog", "--wait=true")

    def handed_over() -> None:
        assert team.get(PLURALS["HTTPRoute"], "younger")["spec"]["hostnames"] == [host, own]
        assert team.get(PLURALS["Certificate"], "younger")["spec"]["dnsNames"] == [host, own]
        assert team.condition("Exposed", "younger")["reason"] != "HostTaken"

    eventually(handed_over, timeout=30)


def test_without_the_kinds_the_rest_is_made_and_the_conditions_say_so(
    operator: OperatorProcess, namespace: str, tmp_path: Path
) -> None:
    team = Team(operator.cluster, operator, namespace, tmp_path)
    absent = [PLURALS[kind] for kind in ("HTTPRoute", "Certificate")]
    team.cluster.kubectl("delete", "crd", *absent)
    team.apply(expose={"hosts": [f"{team.namespace}.example"], "tls": TLS})

    team.converged()
    has(team, "Exposed", "False", "CRDNotInstalled", "httproutes.gateway.networking.k8s.io")
    has(team, "CertificateReady", "False", "CRDNotInstalled", "certificates.cert-manager.io")
    assert team.exists("deployment")

    install_every_kind(team.cluster)

    def follows() -> None:
        assert {"HTTPRoute/catalog", "HTTPRoute/catalog.redirect", "Certificate/catalog"} <= made(team)

    eventually(follows, timeout=30)
