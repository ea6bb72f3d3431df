"""cert-manager: certificates from issuers, renewed in time."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from e2e.addons.addon import Addon, Json
from e2e.addons.sources import container, documents, module_folder, one
from e2e.addons.workloads import named
from e2e.cluster.archives import program_image
from e2e.cluster.providers import Cluster
from e2e.helm import helm
from e2e.tools import tool
from e2e.tools.pins import pinned

NAMESPACE = "cert-manager"
DNS = "challtestsrv.traefik.svc.cluster.local:8053"
"""Add-on pebble's server of names: what cert-manager asks when it looks whether a challenge can be answered."""

_FAMILY = "cert-manager"
_MODULE = "github.com/cert-manager/cert-manager"
_VERSION = pinned(_FAMILY, _MODULE)
_PROGRAMS = ("controller", "webhook", "cainjector", "acmesolver")
_UNKNOWN = ("--v=", "--leader-election-namespace=")
"""Arguments that the chart always passes and that our own mains of the controller and the cainjector do not know."""
_CHECK = "check"
_VALUES: Json = {
    "crds": {"enabled": True, "keep": False},
    "startupapicheck": {"enabled": False},
    "strategy": {"type": "Recreate"},
    "extraArgs": [
        "--enable-gateway-api",
        f"--acme-http01-solver-nameservers={DNS}",
        "--dns01-check-retry-period=1s",  # for HTTP-01 too; 10 s is a long time in a test
    ],
}


def _images() -> list[Path]:
    # The chart's pods must not run as root, and name no user: it has to be the image's.
    return [
        program_image(
            f"quay.io/jetstack/cert-manager-{name}:{_VERSION}", tool(f"cert-manager-{name}"), user="1000:1000"
        )
        for name in _PROGRAMS
    ]


def _manifests() -> list[Json]:
    """The project's own chart, with the arguments that our mains know."""
    manifests = _rendered(module_folder(_FAMILY, _MODULE) / "deploy" / "charts" / "cert-manager")
    for name in ("cert-manager", "cert-manager-cainjector"):
        program = container(one(manifests, "Deployment", name))
        program["args"] = [a for a in program["args"] if not a.startswith(_UNKNOWN)]
    webhook = container(one(manifests, "Deployment", "cert-manager-webhook"))
    webhook["readinessProbe"] = {**webhook["readinessProbe"], "initialDelaySeconds": 1, "periodSeconds": 1}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *manifests]


def _rendered(chart: Path) -> list[Json]:
    """The chart says v0.0.0 until the project's release tool packages it; so do the images' tags."""
    with tempfile.TemporaryDirectory() as folder:
        version = ("--version", _VERSION, "--app-version", _VERSION)
        helm("package", str(chart), *version, "--destination", folder)
        (packaged,) = Path(folder).glob("*.tgz")
        text = helm("template", "cert-manager", str(packaged), "--namespace", NAMESPACE, values=_VALUES)
    return documents(text)


def _ready(cluster: Cluster) -> None:
    """It signs a certificate of its own: webhook, CA injection and controller have all worked for that."""
    issuer, certificate = _check()
    for manifest in (issuer, certificate):
        cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    found = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "certificate", _CHECK, "-o", "json"))
    conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
    assert conditions["Ready"]["status"] == "True", conditions["Ready"]


def _check() -> tuple[Json, Json]:
    api = "cert-manager.io/v1"
    metadata = named(NAMESPACE, _CHECK)
    issuer = {"apiVersion": api, "kind": "Issuer", "metadata": metadata, "spec": {"selfSigned": {}}}
    wanted = {
        "secretName": _CHECK,
        "dnsNames": ["check.test"],
        "issuerRef": {"name": _CHECK},
        "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"},
    }
    return issuer, {"apiVersion": api, "kind": "Certificate", "metadata": metadata, "spec": wanted}


ADDON = Addon(
    name="cert-manager",
    summary="certificates from issuers, renewed in time",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
    needs=("gateway-api",),
)
