"""The edge of a cluster, as production has it, on Gateway API and on Ingress.

Names lead to services; certificates are issued by ACME HTTP-01, served, and renewed under load.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e import edge
from e2e.addons import pebble, traefik
from e2e.caller import RESTRICTED
from e2e.cluster.archives import PROBE
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually

pytestmark = pytest.mark.node

Json = dict[str, Any]

_PORT = 8080
_LABELS = {"app": "shop"}


def _backend() -> list[Json]:
    """A pod that answers with its name, and its Service."""
    container = {
        "name": "shop",
        "image": PROBE,
        "args": ["serve", f":{_PORT}"],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "shop", "labels": _LABELS},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shop"},
            "spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": _PORT}]},
        },
    ]


def _routed_by_the_gateway(host: str, *, tls: bool = False) -> list[Json]:
    """An HTTPRoute of the shared Gateway; with `tls`, of a Gateway beside it, where its Secret can be."""
    api = "gateway.networking.k8s.io/v1"
    parent = {"name": traefik.GATEWAY, "namespace": traefik.NAMESPACE, "sectionName": "http"}
    own = {
        "apiVersion": api,
        "kind": "Gateway",
        "metadata": {"name": "shop"},
        "spec": {
            "gatewayClassName": traefik.CLASS,
            "listeners": [
                {
                    "name": "https",
                    "protocol": "HTTPS",
                    "port": 443,
                    "hostname": host,
                    "tls": {"certificateRefs": [{"name": "shop-tls"}]},
                }
            ],
        },
    }
    route = {
        "apiVersion": api,
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {
            "parentRefs": [{"name": "shop"} if tls else parent],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}],
        },
    }
    return [*([own] if tls else []), route]


def _routed_by_ingress(host: str, *, tls: bool = False) -> list[Json]:
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec: Json = {"ingressClassName": traefik.CLASS, "rules": [rule]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": "shop-tls"}]
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"}}
    return [{**ingress, "spec": spec}]


def _certificate(host: str, issuer: str) -> Json:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "shop"},
        "spec": {
            "secretName": "shop-tls",
            "dnsNames": [host],
            "issuerRef": {"kind": "ClusterIssuer", "name": issuer},
            "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"},
        },
    }


@dataclass(frozen=True)
class Site:
    """A service behind the edge, under a name of its own."""

    cluster: Cluster
    namespace: str

    @property
    def host(self) -> str:
        """The name."""
        return f"{self.namespace}.example.test"

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Output of kubectl in the site's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, *manifests: Json) -> None:
        """Apply objects."""
        for manifest in manifests:
            self.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def certificate(self) -> Json:
        """The Certificate, when it is ready and no other is being issued."""
        return edge.certificate(self.cluster, self.namespace, "shop")


@pytest.fixture
def site(node_cluster: Cluster, namespace: str) -> Site:
    """With its backend."""
    made = Site(node_cluster, namespace)
    made.apply(*_backend())
    return made


@pytest.mark.parametrize("route", [_routed_by_the_gateway, _routed_by_ingress], ids=["gateway", "ingress"])
def test_a_name_leads_to_the_service_of_any_namespace_and_no_other_name_does(
    addons: Callable[..., Cluster], site: Site, route: Callable[[str], list[Json]]
) -> None:
    cluster = addons("traefik")
    site.apply(*route(site.host))

    with cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as port:

        def served() -> None:
            found = edge.plain(port, site.host)
            assert (found.status, found.body) == (200, "shop")

        eventually(served)
        assert edge.plain(port, f"other.{site.host}").status == 404
        site.kubectl("delete", route(site.host)[0]["kind"], "shop")

        def gone() -> None:
            assert edge.plain(port, site.host).status == 404

        eventually(gone)


@pytest.mark.parametrize(
    ("route", "issuer"),
    [(_routed_by_the_gateway, pebble.GATEWAY_ISSUER), (_routed_by_ingress, pebble.INGRESS_ISSUER)],
    ids=["gateway", "ingress"],
)
def test_a_certificate_is_issued_by_http_01_served_and_renewed_under_load(
    addons: Callable[..., Cluster], site: Site, route: Callable[..., list[Json]], issuer: str
) -> None:
    cluster = addons("pebble")
    site.apply(*route(site.host, tls=True), _certificate(site.host, issuer))
    eventually(site.certificate, timeout=90)
    root = pebble.root(cluster)

    with cluster.port_forward("service/traefik", 443, "-n", traefik.NAMESPACE) as port:

        def answered() -> bytes:
            try:
                found = edge.secure(port, site.host, root)
            except httpx.ConnectError as error:  # Traefik's own certificate, until it has read the Secret
                raise AssertionError(error) from error
            assert (found.status, found.body) == (200, "shop")
            return found.certificate

        first = eventually(answered)
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            edge.secure(port, f"other.{site.host}", root)

        edge.renew(cluster, site.namespace, "shop")
        requests = 0

        def another_is_served() -> None:
            nonlocal requests
            found = edge.secure(port, site.host, root)  # an error of TLS ends the test
            requests += 1
            if (found.status, found.body) != (200, "shop"):
                pytest.fail(f"request {requests} during the renewal: {found.status} {found.body}")
            assert found.certificate != first

        eventually(another_is_served, timeout=90, interval=0.05)
        assert requests > 1  # the first was served with the old one
