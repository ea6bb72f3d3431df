"""Traefik: a gateway to the cluster for HTTPRoutes and for Ingresses.

The project publishes its manifests as a Helm chart that is in no package, so these are ours, after its documentation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx

from e2e.addons.addon import Addon, Json
from e2e.addons.workloads import deployment, named, restricted_pod, service
from e2e.cluster.archives import PROBE, probe_image, program_image
from e2e.cluster.providers import Cluster
from e2e.tools.wheels import TRAEFIK, wheel_program

NAMESPACE = "traefik"
GATEWAY = "edge"
"""Gateway in NAMESPACE: HTTP on port 80, routes of every namespace."""
CLASS = "traefik"
"""Name of the GatewayClass and of the IngressClass."""

_VERSION = f"v{TRAEFIK.version}"
_IMAGE = f"docker.io/library/traefik:{_VERSION}"
_CHECK = "check"
_HOSTS = {"gateway": "gateway.check.test", "ingress": "ingress.check.test"}
_PORT = 8080  # of the check's backend
_PING = 9000
_GATEWAY_API = "gateway.networking.k8s.io"


def _images() -> list[Path]:
    return [program_image(_IMAGE, wheel_program(TRAEFIK)), probe_image()]


def _manifests() -> list[Json]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *_rights(),
        service(NAMESPACE, "traefik", {"http": (80, 80), "https": (443, 443)}),
        deployment(NAMESPACE, "traefik", _traefik_pod()),
        *_classes(),
        gateway(GATEWAY),
        *_check(),
    ]


def _ready(cluster: Cluster) -> None:
    """A request for a known name reaches the backend, by Gateway and by Ingress; one for another name does not."""
    gateway = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "gateway", GATEWAY, "-o", "json"))
    conditions = {c["type"]: c for c in gateway.get("status", {}).get("conditions", [])}
    programmed = conditions["Programmed"]
    assert programmed["status"] == "True", programmed
    assert programmed["observedGeneration"] == gateway["metadata"]["generation"], programmed
    # One that is being replaced still answers, until it does not.
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/traefik", "--timeout=1s")
    label = "app.kubernetes.io/name=traefik"
    assert len(cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", label, "-o", "name").split()) == 1
    with cluster.port_forward("service/traefik", 80, "-n", NAMESPACE) as port:
        for host in _HOSTS.values():
            status, body = _get(port, host)
            assert (status, body.startswith(f"{_CHECK}-")) == (200, True), (host, status, body)
        assert _get(port, "unknown.check.test")[0] == 404


def _get(port: int, host: str) -> tuple[int, str]:
    """Status and body of a request to a forwarded port, with a Host of its own."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": host}, trust_env=False)
    except httpx.TransportError as error:
        raise ConnectionError(f"{host}: {error}") from error
    return answer.status_code, answer.text


def _traefik_pod() -> Json:
    arguments = (
        # A listener's port has to be the port of an entry point.
        "--entrypoints.web.address=:80",
        "--entrypoints.websecure.address=:443",
        # As the project's chart has it: an Ingress with `tls` says which certificate, not that there is TLS.
        "--entrypoints.websecure.http.tls=true",
        f"--entrypoints.traefik.address=:{_PING}",
        "--ping",
        "--providers.kubernetesgateway",
        "--providers.kubernetesingress",
        f"--providers.kubernetesingress.ingressclass={CLASS}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    )
    server = {
        "name": "traefik",
        "image": _IMAGE,
        "args": list(arguments),
        "ports": [{"name": "http", "containerPort": 80}, {"name": "https", "containerPort": 443}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": _PING}, "periodSeconds": 1},
    }
    pod = restricted_pod(server, user=65532, serviceAccountName="traefik")
    # Ports below 1024 without a capability; one of the sysctls that Pod Security restricted lets through.
    sysctl = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    pod["securityContext"]["sysctls"] = [sysctl]
    return pod


def _rights() -> list[Json]:
    """What the providers watch, and the statuses that they write."""
    read, status = ("get", "list", "watch"), ("update", "patch")
    kinds = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "backendtlspolicies")
    rules = [
        _rule("", ("services", "secrets", "namespaces", "nodes", "configmaps"), read),
        _rule("discovery.k8s.io", ("endpointslices",), read),
        _rule("networking.k8s.io", ("ingresses", "ingressclasses"), read),
        _rule("networking.k8s.io", ("ingresses/status",), status),
        _rule(_GATEWAY_API, (*kinds, "referencegrants"), read),
        _rule(_GATEWAY_API, [f"{kind}/status" for kind in kinds], status),
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "traefik"}
    subject = {"kind": "ServiceAccount", "name": "traefik", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named(NAMESPACE, "traefik")},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "traefik"}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "traefik"},
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _classes() -> list[Json]:
    return [
        {
            "apiVersion": f"{_GATEWAY_API}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": CLASS},
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
    ]


def gateway(name: str) -> Json:
    """One more Gateway in NAMESPACE, or the only one: HTTP on port 80, routes of every namespace."""
    every_namespace = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": every_namespace}
    return {
        "apiVersion": f"{_GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": named(NAMESPACE, name),
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }


def _check() -> list[Json]:
    """A backend and its two routes, by which `ready` knows that Traefik works."""
    server = {
        "name": _CHECK,
        "image": PROBE,
        "args": ["serve", f":{_PORT}"],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
    }
    backend = {"service": {"name": _CHECK, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return [
        service(NAMESPACE, _CHECK, {"http": (80, _PORT)}),
        deployment(NAMESPACE, _CHECK, restricted_pod(server, user=10001)),
        {
            "apiVersion": f"{_GATEWAY_API}/v1",
            "kind": "HTTPRoute",
            "metadata": named(NAMESPACE, _CHECK),
            "spec": {
                "parentRefs": [{"name": GATEWAY}],
                "hostnames": [_HOSTS["gateway"]],
                "rules": [{"backendRefs": [{"name": _CHECK, "port": 80}]}],
            },
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": named(NAMESPACE, _CHECK),
            "spec": {
                "ingressClassName": CLASS,
                "rules": [{"host": _HOSTS["ingress"], "http": {"paths": [path]}}],
            },
        },
    ]


ADDON = Addon(
    name="traefik",
    summary="a gateway for HTTPRoutes and Ingresses",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
    needs=("gateway-api",),
)
