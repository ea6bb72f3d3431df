"""Nothing but what exceptions.yaml accepts is found in any rendering, and each scanner can find something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e import crds
from e2e.cluster.providers import Cluster
from e2e.scan.checkov import scan
from e2e.scan.conftest_policies import POLICIES, comply
from e2e.scan.exceptions import Accepted, accepted, decisions, left, unneeded
from e2e.scan.findings import Finding
from e2e.scan.kube_score import score
from e2e.scan.kubeconform import conform
from e2e.scan.subjects import merged, subjects
from e2e.scan.trivy import examine

BAD = Path(__file__).parent / "scan" / "bad"
SCANNERS = {"checkov": scan, "kube-score": score, "conftest": comply, "trivy": examine}
ROOT_UID = Finding("service-minimal", "CKV_K8S_40", "Deployment.shop.catalog", "high UID")


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[Finding, ...]]:
    """By scanner, in the renderings and in the bad objects beside them: a start costs more than the work."""
    return {name: check(subjects() | {"bad": _bad(name)}).findings for name, check in SCANNERS.items()}


def _bad(scanner: str) -> list[dict[str, Any]]:
    """What this scanner has to find; kube-score and trivy are shown checkov's."""
    path = BAD / f"{scanner}.yaml"
    return list(yaml.safe_load_all((path if path.exists() else BAD / "checkov.yaml").read_text()))


@pytest.mark.api  # seconds, and its packages on first use: too slow for `make quick`
def test_only_what_is_accepted_is_found(found: dict[str, tuple[Finding, ...]]) -> None:
    findings = [each for scanner in found.values() for each in scanner if each.subject != "bad"]

    assert left(findings, accepted(decisions())) == []
    assert unneeded(findings, accepted(decisions())) == []


@pytest.mark.api
def test_a_bad_pod_is_found(found: dict[str, tuple[Finding, ...]]) -> None:
    checks = {
        name: {each.check for each in scanner if each.subject == "bad"} for name, scanner in found.items()
    }

    # privileged, host network, latest, privilege escalation, root, writable root, seccomp
    assert checks["checkov"] >= {f"CKV_K8S_{number}" for number in (16, 19, 14, 20, 23, 22, 31)}
    assert checks["kube-score"] >= {
        "container-security-context-privileged",
        "container-image-tag",
        "pod-networkpolicy",
    }
    # privileged, host network, latest, privilege escalation, root, writable root, seccomp
    assert checks["trivy"] >= {f"KSV-{number:04}" for number in (17, 9, 13, 1, 12, 14, 104)}


@pytest.mark.api
def test_every_policy_of_ours_finds_what_it_is_about(found: dict[str, tuple[Finding, ...]]) -> None:
    text = "".join(path.read_text() for path in POLICIES.glob("*.rego"))
    checks: dict[str, set[str]] = {}
    for each in found["conftest"]:
        checks.setdefault(each.resource, set()).add(each.check.removeprefix("deny_"))

    assert checks == {
        "Deployment bare": {
            "api_token", "service_links", "tag_only", "rollout_gap", "not_spread", "unprobed",
        },
        "Deployment hurried": {"no_time_to_drain"},
        "NetworkPolicy one-way": {"one_way"},
        "NetworkPolicy wide": {"rule_for_everybody", "peer_is_everybody", "node_credentials"},
        "PodDisruptionBudget stuck": {"blocked_drain", "no_eviction"},
        "ClusterRole master": {"wildcard", "escalation"},
    }  # fmt: skip
    assert set(re.findall(r"^deny_(\w+)", text, re.MULTILINE)) == set.union(*checks.values())


@pytest.mark.api
def test_every_object_is_one_that_the_api_server_serves_and_knows(api_cluster: Cluster) -> None:
    crds.install_every_kind(api_cluster)
    bad = list(yaml.safe_load_all((BAD / "kubeconform.yaml").read_text()))
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


def test_what_an_autoscaler_begins_with_is_not_what_it_is_told_again() -> None:
    """The number of pods is left out only of what an autoscaler scales."""
    metadata = {"name": "a", "namespace": "shop"}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    replicas = {**deployment, "spec": {"replicas": 3}}
    autoscaler = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v2",
        "metadata": metadata,
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "a"}},
    }
    of_another = {**autoscaler, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "b"}}}
    template = {**deployment, "spec": {"template": {}}}

    assert merged([template, replicas, autoscaler]) == [template, autoscaler]
    assert merged([template, replicas, of_another])[0]["spec"] == {"template": {}, "replicas": 3}


@pytest.mark.parametrize(
    ("check", "pattern", "covered"),
    [
        ("CKV_K8S_40", "service-*", True),
        ("CKV_K8S_40", "chart-*", False),
        ("CKV_K8S_4", "service-*", False),
    ],
)
def test_an_exception_is_for_one_check_and_some_renderings(check: str, pattern: str, covered: bool) -> None:
    exceptions = [Accepted(check, (pattern,))]

    assert (left([ROOT_UID], exceptions) == []) is covered
    assert (unneeded([ROOT_UID], exceptions) == []) is covered


def test_each_exception_has_a_reason() -> None:
    assert [each.decision for each in decisions() if len(each.reason.split()) < 3] == []
