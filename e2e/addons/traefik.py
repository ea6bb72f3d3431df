"""Traefik: a gateway to the cluster for HTTPRoutes and for Ingresses.

The project publishes its manifests as a Helm chart that is in no package, so these are ours, after its documentation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx

from e2e.addons.addon import Addon, Json
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
_LABELS = {"app.kubernetes.io/name": "traefik"}
_CHECK = "check"
_CHECK_LABELS = {"app.kubernetes.io/name": _CHECK}
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
        _service("traefik", _LABELS, {"http": (80, 80), "https": (443, 443)}),
        _deployment("traefik", _LABELS, _traefik_pod()),
        *_classes(),
        _gateway(),
        *_check(),
    ]


def _ready(cluster: Cluster) -> None:
    """A request for a known name reaches the backend, by Gateway and by Ingress; one for another name does not."""
    gateway = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "gateway", GATEWAY, "-o", "json"))
    conditions = {c["type"]: c for c in gateway.get("status", {}).get("conditions", [])}
    programmed = conditions["Programmed"]
    assert programmed["status"] == "True", programmed
    assert programmed["observedGeneration"] == gateway["metadata"]["generation"], programmed
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
    pod = _restricted(server, user=65532)
    # Ports below 1024 without a capability; one of the sysctls that Pod Security restricted lets through.
    sysctl = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    pod["securityContext"]["sysctls"] = [sysctl]
    return {**pod, "serviceAccountName": "traefik"}


def _restricted(container: Json, *, user: int) -> Json:
    """A pod of one container that Pod Security restricted accepts."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    of_the_pod = {"runAsNonRoot": True, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}}
    resources = {"requests": {"cpu": "20m", "memory": "64Mi"}}
    return {
        "securityContext": of_the_pod,
        "containers": [{"resources": resources, "securityContext": context, **container}],
    }


def _rights() -> list[Json]:
    """What the providers watch, and the statuses that they write."""
    read, status = ("get", "list", "watch"), ("update", "patch")
    kinds = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "backendtlspolicies")
    rules = [
        _rule("", ("services", "secrets", "namespaces", "nodes", "configmaps"), read),
        _rule("discovery.k8s.io", ("endpointslices",), read),
        _rule("networking.k8s.io", ("ingresses", "ingressclasses"), read),
        _rule("networking.k8s.io", ("ingresses/status",), status),
        _rule(_GATEWAY_API, (*kinds, "referencegrants", "listenersets"), read),
        _rule(_GATEWAY_API, [f"{kind}/status" for kind in (*kinds, "listenersets")], status),
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "traefik"}
    subject = {"kind": "ServiceAccount", "name": "traefik", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("traefik")},
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


def _gateway() -> Json:
    every_namespace = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": every_namespace}
    return {
        "apiVersion": f"{_GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": _named(GATEWAY),
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
        _service(_CHECK, _CHECK_LABELS, {"http": (80, _PORT)}),
        _deployment(_CHECK, _CHECK_LABELS, _restricted(server, user=10001)),
        {
            "apiVersion": f"{_GATEWAY_API}/v1",
            "kind": "HTTPRoute",
            "metadata": _named(_CHECK),
            "spec": {
                "parentRefs": [{"name": GATEWAY}],
                "hostnames": [_HOSTS["gateway"]],
                "rules": [{"backendRefs": [{"name": _CHECK, "port": 80}]}],
            },
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": _named(_CHECK),
            "spec": {
                "ingressClassName": CLASS,
                "rules": [{"host": _HOSTS["ingress"], "http": {"paths": [path]}}],
            },
        },
    ]


def _service(name: str, selector: Json, ports: dict[str, tuple[int, int]]) -> Json:
    """`ports` maps a name to the Service's port and the pod's."""
    listed = [
        {"name": port, "port": outer, "targetPort": inner, "protocol": "TCP"}
        for port, (outer, inner) in ports.items()
    ]
    spec = {"selector": selector, "ports": listed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _named(name), "spec": spec}


def _deployment(name: str, labels: Json, pod: Json) -> Json:
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _named(name), "spec": spec}


def _named(name: str) -> Json:
    return {"name": name, "namespace": NAMESPACE}


ADDON = Addon(
    name="traefik",
    summary="a gateway for HTTPRoutes and Ingresses",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
    needs=("gateway-api",),
)
