"""Install, upgrade and uninstall on a real API server: everything is accepted, and what must stay stays."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import pytest
import yaml

from e2e.cluster.kubectl import KubectlError
from e2e.cluster.providers import Cluster
from e2e.helm import helm
from tests.chart.rendering import CHART, NAME, Json

pytestmark = pytest.mark.api

CRD = "productionservices.productionservice.io"


def release(cluster: Cluster, namespace: str, *arguments: str) -> str:
    return helm(*arguments, "--kubeconfig", str(cluster.kubeconfig_path), "-n", namespace)


def get(cluster: Cluster, *arguments: str) -> Json:
    return dict(json.loads(cluster.kubectl("get", *arguments, "-o", "json")))


def fields_of_the_spec(crd: Json) -> Json:
    schema: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return dict(schema["properties"])


def chart_without(field: str, folder: Path) -> Path:
    """The chart as it was before the resource had `field`."""
    shutil.copytree(CHART, folder)
    file = folder / "files" / "crd.yaml"
    crd = yaml.safe_load(file.read_text())
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][field]
    file.write_text(yaml.safe_dump(crd))
    return folder


def test_a_release_comes_changes_the_crd_and_leaves_it(
    api_cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    name = f"{NAME}-{uuid.uuid4().hex[:4]}"
    older = chart_without("network", tmp_path / "older")

    release(api_cluster, namespace, "install", name, str(older), "--take-ownership", "--force-conflicts")
    assert get(api_cluster, "deployment", name, "-n", namespace)["spec"]["replicas"] == 2
    assert "network" not in fields_of_the_spec(get(api_cluster, "crd", CRD))

    release(api_cluster, namespace, "upgrade", name, str(CHART))
    assert "network" in fields_of_the_spec(get(api_cluster, "crd", CRD))

    release(api_cluster, namespace, "uninstall", name)
    assert get(api_cluster, "deployments,services,networkpolicies", "-n", namespace)["items"] == []
    assert get(api_cluster, "crd", CRD)["metadata"]["name"] == CRD


def test_the_operators_account_may_do_what_it_does_and_no_more(api_cluster: Cluster, namespace: str) -> None:
    name = f"{NAME}-{uuid.uuid4().hex[:4]}"
    release(api_cluster, namespace, "install", name, str(CHART), "--take-ownership", "--force-conflicts")

    def may(verb: str, resource: str, *flags: str, where: str = "default") -> bool:
        account = f"--as=system:serviceaccount:{namespace}:{name}"
        try:
            answer = api_cluster.kubectl("auth", "can-i", verb, resource, *flags, account, "-n", where)
            return answer.strip() == "yes"
        except KubectlError as refused:
            if str(refused.stdout).strip() != "no":
                raise  # a failure is no answer
            return False

    verbs = ("get", "list", "watch", "create", "patch", "delete")
    try:
        assert [verb for verb in verbs if not may(verb, "deployments.apps")] == []
        assert may("patch", "productionservices.productionservice.io", "--subresource=status")
        assert not may("patch", "productionservices.productionservice.io")
        assert may("update", f"leases.coordination.k8s.io/{name}", where=namespace)
        assert not may("update", "leases.coordination.k8s.io/other", where=namespace)
        assert not may("update", f"leases.coordination.k8s.io/{name}")
        assert not may("delete", "productionservices.productionservice.io")
        assert [kind for kind in ("secrets", "configmaps", "nodes") if may("get", kind)] == []
        assert not may("create", "clusterroles.rbac.authorization.k8s.io")
    finally:
        release(api_cluster, namespace, "uninstall", name)


def test_pod_security_restricted_admits_the_pods(api_cluster: Cluster, namespace: str) -> None:
    """The namespace enforces it; refused pods would leave the deployment without any."""
    name = f"{NAME}-{uuid.uuid4().hex[:4]}"
    release(api_cluster, namespace, "install", name, str(CHART), "--take-ownership", "--force-conflicts")
    try:
        # A dry run goes through the same admission, at once and without controllers.
        template = get(api_cluster, "deployment", name, "-n", namespace)["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            **template,
            "metadata": {**template["metadata"], "name": "try"},
        }
        made = api_cluster.kubectl(
            "create", "--dry-run=server", "-n", namespace, "-f", "-", "-o", "name", input=json.dumps(pod)
        )
        assert made.strip() == "pod/try"
    finally:
        release(api_cluster, namespace, "uninstall", name)
