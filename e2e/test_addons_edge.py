"""The edge of a cluster, as production has it: names lead to services by Gateway API and by Ingress."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from e2e.addons import traefik
from e2e.cluster.archives import PROBE
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.traffic import RESTRICTED

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


def _http_route(host: str) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {
            "parentRefs": [{"name": traefik.GATEWAY, "namespace": traefik.NAMESPACE, "sectionName": "http"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}],
        },
    }


def _ingress(host: str) -> Json:
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {"ingressClassName": traefik.CLASS, "rules": [rule]},
    }


def _get(port: int, host: str) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": host}, trust_env=False)
    return answer.status_code, answer.text.strip() if answer.is_success else ""


@pytest.mark.parametrize("route", [_http_route, _ingress], ids=["gateway", "ingress"])
def test_a_name_leads_to_the_service_of_any_namespace_and_no_other_name_does(
    addons: Callable[..., Cluster], node_cluster: Cluster, namespace: str, route: Callable[[str], Json]
) -> None:
    addons("traefik")
    host = f"{namespace}.example.test"
    for manifest in (*_backend(), route(host)):
        node_cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(manifest))

    with node_cluster.port_forward("service/traefik", 80, "-n", traefik.NAMESPACE) as port:

        def served() -> None:
            assert _get(port, host) == (200, "shop")

        eventually(served)
        assert _get(port, f"other.{host}")[0] == 404
        node_cluster.kubectl("-n", namespace, "delete", route(host)["kind"], "shop")

        def gone() -> None:
            assert _get(port, host)[0] == 404

        eventually(gone)
