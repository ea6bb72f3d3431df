"""What can be said about the add-ons of monitoring without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e import crds
from e2e.addons import prometheus, prometheus_operator
from e2e.addons.addon import LABEL, Json
from e2e.addons.sources import container, documents, one
from e2e.install import CHART
from productionservice.config import OperatorConfig

_ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}}
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "prometheus"},
    "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "default"}],
}
_OPERATOR = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "prometheus-operator", "namespace": "default"},
    "spec": {
        "template": {"spec": {"containers": [{"args": ["--kubelet-service=kube-system/kubelet", "--other"]}]}}
    },
}


def test_an_equals_sign_in_a_list_of_operators_is_a_word() -> None:
    assert documents("a: [=, '!=', =~]\n---\n") == [{"a": ["=", "!=", "=~"]}]


@pytest.fixture(autouse=True)
def _published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small files in place of those that the project publishes."""
    for name, items in {
        "prometheus": [_ACCOUNT, _BINDING],
        "prometheus-operator": [_OPERATOR, _BINDING],
    }.items():
        folder = tmp_path / "example" / "rbac" / name
        folder.mkdir(parents=True)
        (folder / "all.yaml").write_text(yaml.safe_dump_all(items))
    for module in (prometheus, prometheus_operator):
        monkeypatch.setattr(module, "module_folder", lambda *_: tmp_path)
    monkeypatch.setattr(crds, "crd_files", lambda _: [])


@pytest.fixture
def wanted() -> Json:
    """What is asked of the operator."""
    spec: Json = one(prometheus.ADDON.objects(), "Prometheus", prometheus.NAME)["spec"]
    return spec


@pytest.mark.parametrize("kind", ["serviceMonitor", "podMonitor", "rule"])
def test_every_namespace_s_are_its_own(wanted: Json, kind: str) -> None:
    assert (wanted[f"{kind}Selector"], wanted[f"{kind}NamespaceSelector"]) == ({}, {})


def test_no_monitor_reads_its_files(wanted: Json) -> None:
    assert wanted["arbitraryFSAccessThroughSMs"] == {"deny": True}


def test_it_runs_where_services_let_themselves_be_scraped_from_unless_told_otherwise() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    (namespace,) = values["networkPolicy"]["metricsFrom"]
    assert (
        prometheus_operator.NAMESPACE
        == OperatorConfig().monitoring_namespace
        == values["config"]["scraping"]["namespace"]
        == namespace
    )


def test_everything_is_moved_out_of_the_namespace_default() -> None:
    for addon in (prometheus_operator.ADDON, prometheus.ADDON):
        for item in addon.objects():
            assert "default" not in {
                item["metadata"].get("namespace"),
                *(subject["namespace"] for subject in item.get("subjects", ())),
            }


def test_nothing_is_written_about_kubelets() -> None:
    operator = container(one(prometheus_operator.ADDON.manifests(), "Deployment", "prometheus-operator"))
    assert "--other" in operator["args"]
    assert not [argument for argument in operator["args"] if "kubelet" in argument]


def test_its_pod_is_found_as_the_add_on_s_and_its_program_is_not_where_its_data_go(
    wanted: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[str] = []
    monkeypatch.setattr(prometheus, "tool", Path)
    monkeypatch.setattr(prometheus, "program_image", lambda *_, folder: folders.append(folder))
    prometheus.ADDON.images()

    assert folders == ["/bin/"]
    assert wanted["podMetadata"]["labels"] == {LABEL: prometheus.ADDON.name}
