"""Prometheus, made by its operator: every ServiceMonitor, PodMonitor and PrometheusRule of the cluster is its own."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from e2e.addons.addon import LABEL, Addon, Json
from e2e.addons.prometheus_operator import NAMESPACE, moved
from e2e.addons.sources import folder_documents, module_folder
from e2e.addons.workloads import named
from e2e.cluster.archives import program_image
from e2e.cluster.providers import Cluster
from e2e.tools import tool
from e2e.tools.pins import prometheus_version

NAME = "prometheus"

_VERSION = f"v{prometheus_version()}"
_IMAGE = f"quay.io/prometheus/prometheus:{_VERSION}"
_API = "monitoring.coreos.com/v1"
_EVERY: Json = {}
"""A selector that selects all; one that is left out selects nothing."""
_DOCUMENT = Path(__file__).parents[2] / "docs" / "service.md"
_PODS = {"operator.prometheus.io/name": NAME}
_PROMPT = {"periodSeconds": 1, "failureThreshold": 60}


def ask(cluster: Cluster, path: str, **parameters: str) -> Any:
    """What its API says, asked through the API server; raises a CalledProcessError for a query that is none."""
    where = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:web/proxy/api/v1/{path}"
    return json.loads(cluster.kubectl("get", "--raw", f"{where}?{urlencode(parameters)}"))["data"]


def query(cluster: Cluster, expression: str) -> list[Json]:
    """One sample a series, as of now."""
    found: list[Json] = ask(cluster, "query", query=expression)["result"]
    return found


def hasten(cluster: Cluster) -> None:
    """Let it have its newest configuration and rules now.

    A kubelet brings a changed Secret to a pod within about a minute, and at once when the pod itself changes.
    """
    change = f"e2e.productionservice.io/hastened={uuid.uuid4()}"
    cluster.kubectl("-n", NAMESPACE, "annotate", "pod", f"prometheus-{NAME}-0", "--overwrite", change)


def documented_labels() -> set[str]:
    """Labels of a service's targets, by the table of docs/service.md."""
    _, _, section = _DOCUMENT.read_text().partition("## In Prometheus\n")
    return set(re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE))


def _images() -> list[Path]:
    # Not at /prometheus: that is where its operator mounts the data.
    return [program_image(_IMAGE, tool("prometheus"), folder="/bin/")]


def _manifests() -> list[Json]:
    """Rights as the operator's project gives them; the rest is what everybody has to say for himself."""
    rights = module_folder("prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
    published = folder_documents(rights / "example" / "rbac" / "prometheus")
    return [
        *moved([item for item in published if item["kind"] != "Prometheus"], NAMESPACE),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**named(NAMESPACE, NAME), "labels": _PODS},
            "spec": {"selector": _PODS, "ports": [{"name": "web", "port": 9090, "targetPort": "web"}]},
        },
        {"apiVersion": _API, "kind": "Prometheus", "metadata": named(NAMESPACE, NAME), "spec": _spec()},
        {
            "apiVersion": _API,
            "kind": "ServiceMonitor",
            "metadata": named(NAMESPACE, NAME),
            "spec": {"selector": {"matchLabels": _PODS}, "endpoints": [{"port": "web", "interval": "5s"}]},
        },
    ]


def _spec() -> Json:
    """Small, soon up, and open to the monitors of every namespace; none of them may read its files."""
    kinds = ("serviceMonitor", "podMonitor", "rule")
    return {
        "version": _VERSION,
        "replicas": 1,
        "serviceAccountName": NAME,
        **{f"{kind}{what}": _EVERY for kind in kinds for what in ("Selector", "NamespaceSelector")},
        "arbitraryFSAccessThroughSMs": {"deny": True},
        "serviceDiscoveryRole": "EndpointSlice",
        "evaluationInterval": "5s",
        "retention": "2h",
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "podMetadata": {"labels": {LABEL: "prometheus"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {"name": "prometheus", "startupProbe": _PROMPT, "readinessProbe": _PROMPT},
            {"name": "config-reloader", "args": _reloader()},
        ],
    }


def _reloader() -> list[str]:
    """The arguments that its operator gives, and more looks than one in three minutes.

    It is told of the first change only: v0.85.0 watches the file behind a link that the kubelet turns to another.
    """
    return [
        "--listen-address=:8080",
        "--reload-url=http://localhost:9090/-/reload",
        "--config-file=/etc/prometheus/config/prometheus.yaml.gz",
        "--config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml",
        f"--watched-dir=/etc/prometheus/rules/prometheus-{NAME}-rulefiles-0",
        "--watch-interval=2s",
    ]


def _ready(cluster: Cluster) -> None:
    """It has scraped itself: its operator has made its pod and, out of a ServiceMonitor, its configuration."""
    found = query(cluster, f'up{{namespace="{NAMESPACE}",job="{NAME}"}}')
    assert [sample["value"][1] for sample in found] == ["1"], found


ADDON = Addon(
    name="prometheus",
    summary="scrapes what every ServiceMonitor and PodMonitor names",
    version=_VERSION,
    images=_images,
    manifests=_manifests,
    ready=_ready,
    needs=("prometheus-operator",),
)
