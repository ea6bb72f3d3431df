"""What every test relies on: the cluster does what a real one does, be it ours, kind or another."""

from __future__ import annotations

import base64
import json
import subprocess
from functools import partial
from typing import Any

import httpx
import pytest
from kubernetes.client import CoreV1Api

from e2e.audit import AuditLog
from e2e.cluster.archives import PROBE, probe_image
from e2e.cluster.certificates import Authority
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually

Json = dict[str, Any]
PORT = 8080


def probe_pod(name: str, *arguments: str, node: Json | None = None) -> Json:
    """A pod of the probe image that Pod Security restricted admits; `arguments` as in e2e/tools/probe."""
    container: Json = {
        "name": "probe",
        "image": PROBE,
        "imagePullPolicy": "Never",
        "args": list(arguments),
        "ports": [{"name": "http", "containerPort": PORT}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [container],
            "nodeSelector": node or {},
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    }


def service(name: str, port: int = PORT) -> Json:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def apply(cluster: Cluster, namespace: str, *manifests: Json) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(items))


def wait_ready(cluster: Cluster, namespace: str, *pods: str) -> None:
    cluster.kubectl(
        "-n", namespace, "wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{p}" for p in pods)
    )


def probe(cluster: Cluster, namespace: str, pod: str, *command: str) -> str:
    """Output of the probe program run in a pod; raises CalledProcessError when it fails."""
    return cluster.kubectl("-n", namespace, "exec", pod, "--", "/probe", *command)


def connects(cluster: Cluster, namespace: str, pod: str, target: str) -> bool:
    try:
        probe(cluster, namespace, pod, "dial", target)
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.fixture(scope="module")
def probed(node_cluster: Cluster) -> Cluster:
    node_cluster.load_docker_image(str(probe_image()))
    return node_cluster


@pytest.fixture
def server(probed: Cluster, namespace: str) -> str:
    """Namespace with a pod and Service `server` and a pod `client`."""
    apply(probed, namespace, probe_pod("server", "serve"), service("server"), probe_pod("client", "serve"))
    wait_ready(probed, namespace, "server", "client")
    return namespace


@pytest.mark.api
def test_every_write_is_in_the_audit_log_under_its_user(api_cluster: Cluster, namespace: str) -> None:
    log = AuditLog(api_cluster.audit_log)

    api_cluster.kubectl("-n", namespace, "create", "configmap", "written", "--from-literal=a=b")

    def written() -> None:
        assert log.writes("kubernetes-admin", namespace) == ["create configmaps written"]

    eventually(written, timeout=10)


@pytest.mark.api
def test_controllers_clean_up_what_an_owner_leaves(api_cluster: Cluster, namespace: str) -> None:
    api_cluster.kubectl("-n", namespace, "create", "deployment", "web", "--image=example.invalid/web:v1")

    def replica_sets() -> list[str]:
        return api_cluster.kubectl("-n", namespace, "get", "replicasets", "-o", "name").split()

    def made() -> None:
        assert len(replica_sets()) == 1

    eventually(made, timeout=15)
    api_cluster.kubectl("-n", namespace, "delete", "deployment", "web")

    def collected() -> None:
        assert replica_sets() == []

    eventually(collected, timeout=15)


@pytest.mark.api
def test_namespaces_of_tests_enforce_pod_security_restricted(api_cluster: Cluster, namespace: str) -> None:
    privileged = ["--image=example.invalid/web:v1", "--privileged"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        api_cluster.kubectl("-n", namespace, "run", "privileged", *privileged)

    assert 'violates PodSecurity "restricted' in str(refused.value)


@pytest.mark.node
def test_pods_find_services_by_name(probed: Cluster, server: str) -> None:
    cluster_ip = probed.kubectl("-n", server, "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")

    assert probe(probed, server, "client", "resolve", f"server.{server}.svc.cluster.local").split() == [
        cluster_ip
    ]
    eventually(lambda: probe(probed, server, "client", "dial", "server:80"), timeout=10)


@pytest.mark.node
def test_logs_and_port_forward_reach_the_container(probed: Cluster, server: str) -> None:
    with probed.port_forward("service/server", 80, "-n", server) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/asked-for", trust_env=False)

    assert answer.text.strip() == "server"
    assert "GET /asked-for" in probed.kubectl("-n", server, "logs", "server")


@pytest.mark.node
def test_client_library_sees_the_same_nodes(probed: Cluster) -> None:
    listed = CoreV1Api(probed.api).list_node().to_dict()["items"]

    assert {f"node/{node['metadata']['name']}" for node in listed} == set(
        probed.kubectl("get", "nodes", "-o", "name").split()
    )


@pytest.mark.node
def test_network_policy_denies_and_allows(probed: Cluster, server: str) -> None:
    eventually(lambda: probe(probed, server, "client", "dial", "server:80"), timeout=10)
    policy: Json = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "server"},
        "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"]},
    }
    apply(probed, server, policy)

    def denied() -> None:
        assert not connects(probed, server, "client", "server:80")

    eventually(denied, timeout=15)
    peer = {"podSelector": {"matchLabels": {"app": "client"}}}
    policy["spec"]["ingress"] = [{"from": [peer], "ports": [{"port": "http"}]}]
    apply(probed, server, policy)
    eventually(lambda: probe(probed, server, "client", "dial", "server:80"), timeout=15)


@pytest.mark.node
def test_api_server_calls_an_admission_webhook_in_a_pod(probed: Cluster, namespace: str) -> None:
    authority = Authority("webhook")
    pair = authority.server("hook", f"hook.{namespace}.svc")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hook"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.certificate_pem.decode(), "tls.key": pair.key_pem.decode()},
    }
    pod = probe_pod("hook", "webhook", f":{PORT}", "/tls/tls.crt", "/tls/tls.key")
    pod["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "hook"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "tls", "mountPath": "/tls", "readOnly": True}]
    apply(probed, namespace, secret, pod, {**service("hook"), "spec": _https(service("hook"))})
    wait_ready(probed, namespace, "hook")
    probed.kubectl("create", "-f", "-", input=json.dumps(_webhook(namespace, authority)))
    try:
        create = ["-n", namespace, "create", "-f", "-"]

        def refused() -> None:
            with pytest.raises(subprocess.CalledProcessError) as failure:
                probed.kubectl(*create, "--dry-run=server", input=_config_map("denied", "deny"))
            assert "label probe=deny: remove it" in str(failure.value)

        eventually(refused, timeout=15)
        probed.kubectl(*create, input=_config_map("allowed", "allow"))
    finally:
        probed.kubectl("delete", "validatingwebhookconfiguration", namespace)


@pytest.mark.nodes
def test_nodes_are_ready_in_zones_of_their_own(nodes_cluster: Cluster) -> None:
    nodes = json.loads(nodes_cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    zones = {n["metadata"]["labels"].get("topology.kubernetes.io/zone") for n in nodes} - {None}
    ready = [c["status"] for n in nodes for c in n["status"]["conditions"] if c["type"] == "Ready"]

    assert zones == {"zone-a", "zone-b", "zone-c"}
    assert set(ready) == {"True"}


@pytest.mark.nodes
def test_pods_of_different_zones_reach_each_other(nodes_cluster: Cluster, namespace: str) -> None:
    nodes_cluster.load_docker_image(str(probe_image()))
    places = {f"pod-{zone}": {"topology.kubernetes.io/zone": f"zone-{zone}"} for zone in "ab"}
    pods = [probe_pod(name, "serve", node=place) for name, place in places.items()]
    apply(nodes_cluster, namespace, *pods, *(service(name) for name in places))
    wait_ready(nodes_cluster, namespace, *places)

    for here, there in (("pod-a", "pod-b"), ("pod-b", "pod-a")):
        pod = json.loads(nodes_cluster.kubectl("-n", namespace, "get", "pod", there, "-o", "json"))
        for target in (f"{pod['status']['podIP']}:{PORT}", f"{there}:80"):
            eventually(partial(probe, nodes_cluster, namespace, here, "dial", target), timeout=10)


def _https(manifest: Json) -> Json:
    return {**manifest["spec"], "ports": [{"port": 443, "targetPort": PORT}]}


def _config_map(name: str, verdict: str) -> str:
    metadata = {"name": name, "labels": {"probe": verdict}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def _webhook(namespace: str, authority: Authority) -> Json:
    bundle = base64.b64encode(authority.pair.certificate_pem).decode()
    webhook = {
        "name": "hook.productionservice.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {"caBundle": bundle, "service": {"name": "hook", "namespace": namespace}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchExpressions": [{"key": "probe", "operator": "Exists"}]},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}
        ],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [webhook],
    }
