"""Pebble: an ACME server, as Let's Encrypt is one, with a DNS server by which every name leads to Traefik.

It forgets accounts, orders and its root when it restarts: read the root anew in each test.
"""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path

import httpx

from e2e.addons import cert_manager, traefik
from e2e.addons.addon import Addon, Json
from e2e.addons.sources import module_folder
from e2e.addons.workloads import deployment, named, restricted_pod, service
from e2e.cluster.archives import program_image
from e2e.cluster.providers import Cluster
from e2e.tools import tool
from e2e.tools.pins import pinned

GATEWAY_ISSUER = "pebble"
"""ClusterIssuer that answers challenges through the Gateway."""
INGRESS_ISSUER = "pebble-ingress"
"""ClusterIssuer that answers them through Ingresses."""

_FAMILY = "pebble"
_MODULE = "github.com/letsencrypt/pebble/v2"
_VERSION = pinned(_FAMILY, _MODULE)
_SERVER = "pebble"  # its certificate says so; hence in cert-manager's namespace, where the bare name is found
_NAMES = "challtestsrv"
_ACME, _MANAGEMENT, _DNS = 14000, 15000, 8053
_FOLDER = "/etc/pebble"
_USER = 65532


def root(cluster: Cluster) -> str:
    """PEM of the root that Pebble signs under since its last start."""
    trusted = ssl.create_default_context(cadata=_own("pebble.minica.pem"))
    where = (f"service/{_SERVER}", _MANAGEMENT, "-n", cert_manager.NAMESPACE)
    with cluster.port_forward(*where) as port:
        answer = httpx.get(f"https://127.0.0.1:{port}/roots/0", verify=trusted, trust_env=False)
    return answer.raise_for_status().text


def _images() -> list[Path]:
    repository = "ghcr.io/letsencrypt"
    return [
        program_image(f"{repository}/{name}:{_VERSION}", tool(name), user=f"{_USER}:{_USER}")
        for name in ("pebble", "pebble-challtestsrv")
    ]


def _manifests() -> list[Json]:
    namespace = cert_manager.NAMESPACE
    return [
        *_names(),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": named(namespace, _SERVER),
            "stringData": {
                "config.json": json.dumps(_configuration()),
                "cert.pem": _own("localhost/cert.pem"),
                "key.pem": _own("localhost/key.pem"),
            },
        },
        service(namespace, _SERVER, {"acme": (_ACME, _ACME), "management": (_MANAGEMENT, _MANAGEMENT)}),
        deployment(namespace, _SERVER, _server()),
        _issuer(GATEWAY_ISSUER, {"gatewayHTTPRoute": _through_the_gateway()}),
        _issuer(INGRESS_ISSUER, {"ingress": {"ingressClassName": traefik.CLASS, "serviceType": "ClusterIP"}}),
    ]


def _ready(cluster: Cluster) -> None:
    """cert-manager has an account with it, for either issuer."""
    for name in (GATEWAY_ISSUER, INGRESS_ISSUER):
        issuer = json.loads(cluster.kubectl("get", "clusterissuer", name, "-o", "json"))
        conditions = {c["type"]: c for c in issuer.get("status", {}).get("conditions", [])}
        assert conditions["Ready"]["status"] == "True", conditions["Ready"]


def _own(path: str) -> str:
    """A file of the module's own test certificates: made for `pebble` and localhost, and secret to nobody."""
    return (module_folder(_FAMILY, _MODULE) / "test" / "certs" / path).read_text()


def _configuration() -> Json:
    return {
        "pebble": {
            "listenAddress": f"0.0.0.0:{_ACME}",
            "managementListenAddress": f"0.0.0.0:{_MANAGEMENT}",
            "certificate": f"{_FOLDER}/cert.pem",
            "privateKey": f"{_FOLDER}/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "90 days", "validityPeriod": 7776000}},
        }
    }


def _server() -> Json:
    # No artificial pauses, and no order without a challenge: by default half of the renewals would have none.
    settings = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
    server = {
        "name": _SERVER,
        "image": f"ghcr.io/letsencrypt/pebble:{_VERSION}",
        "args": ["-strict", "-config", f"{_FOLDER}/config.json", "-dnsserver", cert_manager.DNS],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "readinessProbe": {"tcpSocket": {"port": _ACME}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": _FOLDER}],
    }
    volume = {"name": "config", "secret": {"secretName": _SERVER}}
    return restricted_pod(server, user=_USER, volumes=[volume])


def _names() -> list[Json]:
    """The DNS server, beside Traefik: there the kubelet tells its pod the address of Traefik's Service."""
    server = {
        "name": _NAMES,
        "image": f"ghcr.io/letsencrypt/pebble-challtestsrv:{_VERSION}",
        "args": [
            f"-dnsserver=:{_DNS}",
            "-defaultIPv4=$(TRAEFIK_SERVICE_HOST)",
            "-defaultIPv6=",  # no answer; ::1 otherwise, and Pebble prefers it
            *(f"-{unused}=" for unused in ("http01", "https01", "doh", "tlsalpn01")),
        ],
        "readinessProbe": {"tcpSocket": {"port": _DNS}, "periodSeconds": 1},
    }
    pod = restricted_pod(server, user=_USER, enableServiceLinks=True)
    return [service(traefik.NAMESPACE, _NAMES, {}, dns=_DNS), deployment(traefik.NAMESPACE, _NAMES, pod)]


def _through_the_gateway() -> Json:
    listener = {"name": traefik.GATEWAY, "namespace": traefik.NAMESPACE, "sectionName": "http"}
    return {"parentRefs": [listener], "serviceType": "ClusterIP"}


def _issuer(name: str, solver: Json) -> Json:
    acme = {
        "server": f"https://{_SERVER}:{_ACME}/dir",
        "caBundle": base64.b64encode(_own("pebble.minica.pem").encode()).decode(),
        "privateKeySecretRef": {"name": f"{name}-account"},
        "solvers": [{"http01": solver}],
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": name},
        "spec": {"acme": acme},
    }


ADDON = Addon(
    name="pebble",
    summary="an ACME server for cert-manager, and names that lead to Traefik",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
    needs=("cert-manager", "traefik"),
)
