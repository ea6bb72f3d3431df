"""`spec.expose` with a real edge: Traefik, cert-manager, and Pebble as the issuer, by Gateway API and by Ingress."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from e2e import edge
from e2e.addons import pebble, traefik
from e2e.cluster.archives import PROBE
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import install_operator
from e2e.services import Services, new_namespace

pytestmark = pytest.mark.node

CLIENTS = 4
PATH = "/products"
BODY_BYTES = 1048576
"""What prodkit accepts unless it is told otherwise."""
WAYS: dict[str, dict[str, Any]] = {
    "gateway": {"tls": {"issuer": {"name": pebble.GATEWAY_ISSUER}}},
    "ingress": {
        "tls": {"issuer": {"name": pebble.INGRESS_ISSUER}},
        "ingress": {"className": traefik.CLASS},
    },
}
LATER = "later"
"""A Gateway that the platform offers, and that is not there yet."""
EDGE = "gateways.gateway.networking.k8s.io,httproutes.gateway.networking.k8s.io,ingresses,certificates"


@pytest.fixture(scope="module")
def exposed(addons: Callable[..., Cluster], operator: Cluster) -> Iterator[Cluster]:
    """The operator, told of the add-on's edge."""
    addons("pebble")
    gateway = {
        "namespace": traefik.NAMESPACE,
        "name": traefik.GATEWAY,
        "listener": "http",
        "className": traefik.CLASS,
    }
    pods = {"namespace": traefik.NAMESPACE}
    settings = {
        "gateway": gateway,
        "gateways": [{**gateway, "name": LATER, "pods": pods}],
        "ingressClassName": traefik.CLASS,
        "pods": pods,
    }
    install_operator(operator, {"config": {"edge": settings}})
    yield operator
    install_operator(operator)


@pytest.fixture
def shop(exposed: Cluster) -> Iterator[Services]:
    with new_namespace(exposed) as made:
        yield made


class Load:
    """Clients that each ask over new connections until they are told to stop."""

    def __init__(self, ask: Callable[[], edge.Answer]) -> None:
        self._ask, self._stop = ask, threading.Event()
        self.failed: list[str] = []
        self.served: set[bytes] = set()
        self._clients = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._ask()
            except httpx.HTTPError as error:
                self.failed.append(repr(error))
                continue
            self.served.add(answer.certificate)
            if answer.status >= 500 or answer.status == 404:
                self.failed.append(f"{answer.status} {answer.body}")


@pytest.mark.parametrize("way", WAYS)
def test_issued_served_renewed_under_load_and_gone(shop: Services, way: str) -> None:
    cluster, host = shop.cluster, f"{shop.namespace}.example.test"
    shop.apply(expose={"hosts": [host], **WAYS[way]})
    shop.wait_ready()

    def done() -> None:
        found = {c["type"]: c for c in shop.get("psvc")["status"]["conditions"]}
        assert found["Exposed"]["status"] == "True", found["Exposed"]
        assert found["CertificateReady"]["status"] == "True", found["CertificateReady"]

    eventually(done, timeout=120)
    assert shop.get("psvc")["status"]["url"] == f"https://{host}"
    root = pebble.root(cluster)

    with (
        cluster.port_forward("service/traefik", 443, "-n", traefik.NAMESPACE) as tls,
        cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as http,
    ):

        def ask() -> edge.Answer:
            return edge.secure(tls, host, root, PATH)

        def served() -> edge.Answer:
            try:
                answer = ask()
            except httpx.ConnectError as error:  # Traefik's own certificate, until it has read the Secret
                raise AssertionError(error) from error
            assert answer.status == 200, answer
            return answer

        first = eventually(served, timeout=30)
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        if way == "gateway":
            assert "max-age" in first.headers["Strict-Transport-Security"]
            redirect = edge.plain(http, host, PATH)
            assert (redirect.status, redirect.headers["Location"]) == (301, f"https://{host}{PATH}")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            edge.secure(tls, f"other.{host}", root, PATH)
        assert edge.plain(http, f"other.{host}", PATH).status == 404

        with Load(ask) as load:
            edge.renew(cluster, shop.namespace, "catalog")

            def another_is_served() -> None:
                assert load.failed == []
                assert load.served - {first.certificate}

            eventually(another_is_served, timeout=120)
        assert load.failed == []
        assert first.certificate in load.served

        shop.kubectl(
            "patch", "psvc", "catalog", "--type=json", "-p", '[{"op":"remove","path":"/spec/expose"}]'
        )

        def gone() -> None:
            assert shop.find(EDGE) == []
            assert edge.plain(http, host, PATH).status == 404

        eventually(gone, timeout=60)


def silent() -> dict[str, Any]:
    """A service whose image sets no header of its own; Traefik's check has put it on the nodes."""
    repository, _, tag = PROBE.rpartition(":")
    paths = dict.fromkeys(("startupPath", "readinessPath", "livenessPath"), "/")
    return {
        "image": {"repository": repository, "tag": tag},
        "args": ["serve", ":8000"],
        "probes": {"port": 8000, **paths},
    }


def test_headers_come_from_the_edge_and_a_time_limit_is_no_obstacle(shop: Services) -> None:
    host = f"{shop.namespace}.example.test"
    policy = {"name": "Referrer-Policy", "value": "no-referrer"}
    shop.apply(**silent(), expose={"hosts": [host]})
    shop.wait_ready()

    with (
        shop.cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as outside,
        shop.cluster.port_forward("service/catalog", 80, "-n", shop.namespace) as inside,
    ):

        def headers() -> httpx.Headers:
            answer = edge.plain(outside, host)
            assert (answer.status, answer.headers.get("X-Content-Type-Options")) == (200, "nosniff"), answer
            return answer.headers

        assert "Referrer-Policy" not in eventually(headers, timeout=30)
        own = edge.plain(inside, host).headers
        assert {"X-Content-Type-Options", "Referrer-Policy"} & {name.title() for name in own} == set()

        shop.patch({"expose": {"hosts": [host], "headers": [policy], "timeoutSeconds": 30}})

        def another() -> None:
            assert headers()["Referrer-Policy"] == "no-referrer"

        eventually(another, timeout=30)
    shop.wait_ready()
    message = shop.condition("Exposed")["message"]
    assert message == f"reached at http://{host} by Gateway {traefik.NAMESPACE}/{traefik.GATEWAY}"


@pytest.mark.parametrize("way", [{}, {"ingress": {"className": traefik.CLASS}}], ids=["gateway", "ingress"])
def test_ids_and_the_limit_of_a_body_are_the_services_own(shop: Services, way: dict[str, Any]) -> None:
    """Neither API has a field for them: what the edge lets through, the service sees to."""
    host = f"{shop.namespace}.example.test"
    shop.apply(expose={"hosts": [host], **way})
    shop.wait_ready()

    with shop.cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as outside:

        def id_for(**sent: str) -> str:
            answer = edge.plain(outside, host, PATH, headers=sent)
            assert answer.status == 200, answer
            return str(answer.headers["X-Request-ID"])

        made = eventually(id_for, timeout=30)
        assert re.fullmatch(r"[0-9a-f]{32}", made)
        assert re.fullmatch(r"[0-9a-f]{32}", id_for(**{"X-Request-ID": "${jndi:ldap://x}"}))
        assert id_for(**{"X-Request-ID": "caller.1"}) == "caller.1"

        def refused() -> None:
            answer = edge.plain(outside, host, PATH, method="POST", content=b" " * (BODY_BYTES + 1))
            assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")

        # The service closes without reading the body: a proxy that is still sending it may say 502 instead.
        eventually(refused, timeout=30)


def test_from_an_ingress_to_routes_without_a_failed_request(shop: Services) -> None:
    """As when Gateway API is installed later: an Ingress is there, and routes are wanted."""
    host = f"{shop.namespace}.example.test"
    shop.apply(**silent(), expose={"hosts": [host], "ingress": {"className": traefik.CLASS}})
    shop.wait_ready()

    with shop.cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as outside:

        def ask() -> edge.Answer:
            return edge.plain(outside, host)

        def served() -> None:
            assert ask().status == 200

        eventually(served, timeout=30)
        with Load(ask) as load:
            shop.kubectl(
                "patch", "psvc", "catalog", "--type=json", "-p",
                '[{"op":"remove","path":"/spec/expose/ingress"}]',
            )  # fmt: skip

            def moved() -> None:
                assert not shop.exists("ingress")
                assert shop.exists("httproute")
                assert "by Gateway" in shop.condition("Exposed").get("message", "")
                assert ask().headers.get("X-Content-Type-Options") == "nosniff"  # only the route sets it

            eventually(moved, timeout=60)
        assert load.failed == []


@pytest.fixture
def no_later_gateway(exposed: Cluster) -> Iterator[None]:
    def absent() -> None:
        exposed.kubectl("-n", traefik.NAMESPACE, "delete", "gateway", LATER, "--ignore-not-found")

    absent()
    yield
    absent()


@pytest.mark.usefixtures("no_later_gateway")
def test_from_one_gateway_to_another_without_a_failed_request(shop: Services) -> None:
    """The other one comes two steps later than the spec that names it: until then the first has to go on."""
    host, cluster = f"{shop.namespace}.example.test", shop.cluster
    shop.apply(**silent(), expose={"hosts": [host]})
    shop.wait_ready()

    with cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as outside:

        def ask() -> edge.Answer:
            return edge.plain(outside, host)

        def served() -> None:
            assert ask().status == 200

        def joined() -> list[str]:
            return [each["name"] for each in shop.get("httproute")["spec"]["parentRefs"]]

        eventually(served, timeout=30)
        with Load(ask) as load:
            shop.patch({"expose": {"gateway": {"namespace": traefik.NAMESPACE, "name": LATER}}})
            waiting = shop.wait_reason("Exposing", type_="Exposed")
            assert f"until then by Gateway {traefik.NAMESPACE}/{traefik.GATEWAY}" in waiting["message"]
            assert joined() == [LATER, traefik.GATEWAY]
            cluster.kubectl("apply", "-f", "-", input=json.dumps(traefik.gateway(LATER)))

            def moved() -> None:
                assert joined() == [LATER]
                message = shop.condition("Exposed").get("message", "")
                assert message.endswith(f"by Gateway {traefik.NAMESPACE}/{LATER}"), message
                served()

            eventually(moved, timeout=60)
        assert load.failed == []
