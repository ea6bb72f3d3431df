"""Nothing but what exceptions.yaml accepts is found in any rendering, and the scanner can find something."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e import crds
from e2e.cluster.providers import Cluster
from e2e.scan.checkov import Finding, Scan, scan
from e2e.scan.exceptions import Accepted, accepted, left, unneeded
from e2e.scan.kubeconform import conform
from e2e.scan.subjects import merged, subjects

BAD = Path(__file__).parent / "scan" / "bad" / "checkov.yaml"
REFUSED = BAD.with_name("kubeconform.yaml")
ROOT_UID = Finding("service-minimal", "CKV_K8S_40", "Deployment.shop.catalog", "high UID")


@pytest.fixture(scope="module")
def scanned() -> Scan:
    """One run over the renderings and the bad pod beside them: a start of checkov costs more than its work."""
    return scan(subjects() | {"bad": [yaml.safe_load(BAD.read_text())]})


@pytest.mark.api  # seconds, and its packages on first use: too slow for `make quick`
def test_only_what_is_accepted_is_found(scanned: Scan) -> None:
    findings = [finding for finding in scanned.findings if finding.subject != "bad"]

    assert left(findings, accepted()) == []
    assert unneeded(findings, accepted()) == []


@pytest.mark.api
def test_a_bad_pod_is_found(scanned: Scan) -> None:
    found = {finding.check for finding in scanned.findings if finding.subject == "bad"}

    # privileged, host network, latest, privilege escalation, root, writable root, seccomp
    assert found >= {f"CKV_K8S_{number}" for number in (16, 19, 14, 20, 23, 22, 31)}


@pytest.mark.api
def test_every_object_is_one_that_the_api_server_serves_and_knows(api_cluster: Cluster) -> None:
    crds.install(api_cluster, "prometheus-operator", "servicemonitors")
    bad = list(yaml.safe_load_all(REFUSED.read_text()))
    result = conform(subjects() | {"bad": bad}, api_cluster)

    assert [finding for finding in result.findings if finding.subject != "bad"] == []
    assert result.passed == sum(map(len, subjects().values()))
    assert {finding.resource.split()[-1] for finding in result.findings} == {
        "gone",
        "nobody",
        "unknown",
        "type",
    }


def test_parts_of_one_object_are_one_object() -> None:
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "shop"}}
    other = {**head, "metadata": {"name": "b", "namespace": "shop"}}

    assert merged([{**head, "spec": {"paused": True}}, other, {**head, "spec": {"replicas": 3}}]) == [
        {**head, "spec": {"paused": True, "replicas": 3}},
        other,
    ]


@pytest.mark.parametrize(
    ("check", "pattern", "covered"),
    [
        ("CKV_K8S_40", "service-*", True),
        ("CKV_K8S_40", "chart-*", False),
        ("CKV_K8S_4", "service-*", False),
    ],
)
def test_an_exception_is_for_one_check_and_some_renderings(check: str, pattern: str, covered: bool) -> None:
    exceptions = [Accepted(check, pattern, "because")]

    assert (left([ROOT_UID], exceptions) == []) is covered
    assert (unneeded([ROOT_UID], exceptions) == []) is covered


def test_each_exception_has_a_reason() -> None:
    assert [each.check for each in accepted() if len(each.reason.split()) < 3] == []
