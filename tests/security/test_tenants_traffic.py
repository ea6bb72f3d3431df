"""What a tenant's service selects, what is scraped of it and where it makes the operator call, on a real API server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.caller import RESTRICTED
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from productionservice.children import CHILDREN
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.security.tenant import IMAGE, Tenant
from tests.security.test_rendering import walk
from tests.support.shop import refusal

pytestmark = pytest.mark.api

HIJACK = {
    labels.SERVICE: "victim",
    labels.COMPONENT: "web",
    "app.kubernetes.io/name": "victim",
    "app": "victim",
}
"""Labels of a service on another one of the same team."""
MONITOR = {"monitor": "Required"}
HOSTILE_MONITOR: dict[str, Any] = {
    "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "tlsConfig": {"caFile": "/etc/passwd", "keyFile": "/etc/prometheus/key", "certFile": "/etc/passwd"},
    "basicAuth": {"username": {"name": "db", "key": "u"}}, "authorization": {"credentialsFile": "/etc/passwd"},
    "namespaceSelector": {"any": True}, "selector": {}, "targetPort": 22, "scheme": "https",
    "proxyUrl": "http://10.0.0.1", "params": {"target": ["http://10.0.0.1"]}, "followRedirects": True,
    "honorLabels": True, "honorTimestamps": True, "jobLabel": "team", "targetLabels": ["x"],
    "relabelings": [{"targetLabel": "__address__", "replacement": "10.0.0.1"}],
    "metricRelabelings": [{"targetLabel": "namespace", "replacement": "kube-system"}],
    "scrapeClass": "other", "attachMetadata": {"node": True},
}  # fmt: skip
"""What a ServiceMonitor can say that reads files, goes elsewhere, or writes another namespace on the series."""


@pytest.fixture
def a_node(api_cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A name for pods to be bound to, which no kubelet is behind and on which nothing else is placed."""
    name = f"node-{tmp_path.name.replace('_', '-')[:40].lower()}"
    made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}}
    api_cluster.kubectl("create", "-f", "-", input=json.dumps(made))
    yield name
    api_cluster.kubectl("delete", "node", name)


def serve(team: Team, node: str, pod: str, address: str) -> None:
    """Say of a pod what scheduler and kubelet say of one that serves."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    where = f"/api/v1/namespaces/{team.namespace}/pods/{pod}/binding"
    team.cluster.kubectl("create", "--raw", where, "-f", "-", input=json.dumps(binding))
    status = {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }  # fmt: skip
    patch = json.dumps({"status": status})
    team.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", patch)


def made(team: Team, name: str, count: int) -> list[str]:
    """Names of the pods of a service's Deployment."""
    pods = json.loads(team.kubectl("get", "pods", "-o", "json"))["items"]
    found = [pod["metadata"]["name"] for pod in pods if pod["spec"]["serviceAccountName"] == name]
    assert len(found) == count
    return found


def selected(team: Team, name: str) -> set[str]:
    """Pods to which the Service of this name sends traffic, as the EndpointSlice controller has it."""
    label = f"kubernetes.io/service-name={name}"
    slices = json.loads(team.kubectl("get", "endpointslices", "-l", label, "-o", "json"))["items"]
    return {endpoint["targetRef"]["name"] for one in slices for endpoint in one.get("endpoints") or ()}


def test_s07_a_service_sends_traffic_to_its_own_pods_only(editor: Tenant, theirs: Team, a_node: str) -> None:
    two = {"replicas": {"min": 2}}
    smuggled = {"labels": HIJACK, "podLabels": HIJACK, "selector": HIJACK, "podTemplate": {"labels": HIJACK}}
    editor.create(two, name="victim")
    editor.create({**two, **smuggled}, "--validate=false", name="victim-web", labels=HIJACK)
    container = {"name": "job", "image": "registry.example/job:v1", "securityContext": RESTRICTED}
    job = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "job", "labels": {labels.SERVICE: "victim", labels.COMPONENT: "job"}},
        "spec": {"serviceAccountName": "job", "containers": [container]},
    }  # fmt: skip
    editor.kubectl("create", "serviceaccount", "job")
    editor.kubectl("create", "-f", "-", input=json.dumps(job))
    for name in ("victim", "victim-web"):
        theirs.converged(name)
    own = {name: eventually(partial(made, theirs, name, 2), timeout=30) for name in ("victim", "victim-web")}
    for number, pod in enumerate([*own["victim"], *own["victim-web"], "job"], 1):
        serve(theirs, a_node, pod, f"10.99.0.{number}")

    def as_it_should_be() -> None:
        assert {name: selected(theirs, name) for name in own} == {
            name: set(pods) for name, pods in own.items()
        }

    eventually(as_it_should_be, timeout=60)
    theirs.kubectl("delete", "psvc", "--all", "--cascade=foreground", "--wait=false")
    theirs.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")


def test_s17_a_tenants_monitor_reads_no_file_and_scrapes_the_services_own_pods(
    editor: Tenant, theirs: Team
) -> None:
    for field, value in HOSTILE_MONITOR.items():
        metrics = {"metrics": {**MONITOR, field: value}}
        spec = {"observability": metrics}
        said = refusal(partial(editor.create, spec, "--dry-run=server", "--validate=strict"))
        assert f'unknown field "spec.observability.metrics.{field}"' in said
    path = "//10.0.0.1/../etc/passwd?target=http://10.0.0.1"
    hostile = {"metrics": {**MONITOR, **HOSTILE_MONITOR, "path": path}}
    editor.create({"observability": hostile}, "--validate=false")
    theirs.converged()
    monitor = theirs.get("servicemonitor")["spec"]
    ports = {
        port["name"]
        for container in theirs.get("deployment")["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }

    assert monitor.keys() == {"selector", "endpoints", "podTargetLabels"}
    assert monitor["selector"] == {"matchLabels": {labels.SERVICE: "catalog"}}
    (endpoint,) = monitor["endpoints"]
    assert endpoint.keys() == {"targetPort", "path", "interval"}
    assert endpoint["targetPort"] in ports, "by name, so a port of the service's own pods"
    assert endpoint["path"] == path, "a path at those pods: it names no file and no other host"
    assert [key for key, _ in walk(monitor) if key.lower().endswith("file")] == []


def test_s18_no_object_of_a_tenant_speaks_of_another_namespaces_series(editor: Tenant, theirs: Team) -> None:
    """Rules of a service do not exist; what Prometheus writes on its series is the namespace that it runs in."""
    rules = {
        "alerts": {"expr": "up == 0"},
        "rules": [{"record": "up", "expr": "vector(0)"}],
        "slo": {"query": "up"},
    }
    for field, value in rules.items():
        spec = {"observability": {field: value}}
        said = refusal(partial(editor.create, spec, "--dry-run=server", "--validate=strict"))
        assert f'unknown field "spec.observability.{field}"' in said
    name = "productionservice-operator-metrics"
    editor.create({"observability": {"metrics": MONITOR}}, name=name)
    theirs.converged(name)
    monitor = theirs.get("servicemonitor", name)["spec"]

    assert "PrometheusRule" not in {kind.kind for kind, _ in CHILDREN}, (
        "then its selectors are to be shown here"
    )
    assert {"namespaceSelector", "jobLabel", "targetLabels"} & monitor.keys() == set()
    rewriting = {"honorLabels", "relabelings", "metricRelabelings", "params"}
    assert [key for endpoint in monitor["endpoints"] for key in endpoint.keys() & rewriting] == []


@contextmanager
def bait() -> Iterator[tuple[int, list[Any]]]:
    """A port of this machine, and who came to it."""
    came: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


def called(pid: int) -> set[tuple[str, int]]:
    """Addresses that a process has connections to, but those which others opened to it."""
    ours = {Path(f"/proc/{pid}/fd/{fd.name}").readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    sockets = [row for row in rows if f"socket:[{row[9]}]" in ours]
    listens = {row[1].rpartition(":")[2] for row in sockets if row[3] == "0A"}
    return {
        _address(row[2]) for row in sockets if row[3] != "0A" and row[1].rpartition(":")[2] not in listens
    }


def _address(text: str) -> tuple[str, int]:
    """As the kernel writes it: the last four bytes in the machine's order (little-endian), the port in hex."""
    host, _, port = text.partition(":")
    return socket.inet_ntoa(bytes.fromhex(host[-8:])[::-1]), int(port, 16)


def everywhere(port: int) -> dict[str, Any]:
    """A spec that names this address in every field that takes a text."""
    url = f"http://127.0.0.1:{port}/"
    path = f"//127.0.0.1:{port}/x"
    return {
        "image": {**IMAGE, "repository": f"127.0.0.1:{port}/shop/catalog"},
        "command": [url], "args": [url, f"@{url}"], "env": [{"name": "HTTPS_PROXY", "value": url}],
        "probes": {"startupPath": path, "readinessPath": path, "livenessPath": path},
        "network": {"allowTo": [{"cidr": "127.0.0.1/32", "port": port}], "allowFrom": [{"cidr": "127.0.0.1/32"}]},
        "observability": {"metrics": {**MONITOR, "path": path}},
    }  # fmt: skip


def test_s25_whatever_a_tenant_names_the_operator_calls_the_api_server_only(
    editor: Tenant, theirs: Team, operator: OperatorProcess
) -> None:
    assert operator.process is not None
    config = yaml.safe_load((operator.folder / "kubeconfig").read_text())
    host, _, api_port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").rpartition(":")
    with bait() as (port, came):
        url = f"http://127.0.0.1:{port}/"
        annotations = {f"{labels.DOMAIN}/webhook": url, "example/url": url}
        editor.create(everywhere(port), annotations=annotations)
        theirs.converged()
        seen = called(operator.process.pid)
        theirs.repair()
        seen |= called(operator.process.pid)

        assert came == []
        assert seen == {(host, int(api_port))}
        socket.create_connection(("127.0.0.1", port)).close()

        def bites() -> None:
            assert len(came) == 1, "or nobody who came would have been seen"

        eventually(bites)
