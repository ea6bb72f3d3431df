"""What the chart renders, for default and odd values, and which values it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e.helm import HelmError, helm
from productionservice.config import SERVICE_ACCOUNT
from productionservice.rbac import lease_rules
from tests.chart.rendering import (
    CHART,
    NAMESPACE,
    Json,
    environment,
    of_kind,
    only,
    pod_spec,
    render,
)

pytestmark = pytest.mark.api  # needs Helm, which is built with the cluster's other tools

GOLDEN = Path(__file__).parent / "golden"
DIGEST = f"sha256:{'a' * 64}"
BY_DIGEST: Json = {"image": {"digest": DIGEST}}
"""The defaults, and the image as production names it."""
AUTHORITY = "-----BEGIN CERTIFICATE-----\nZXhhbXBsZQ==\n-----END CERTIFICATE-----\n"
ODD: Json = {
    "image": {"repository": "registry.example:5000/platform/operator", "tag": "v9", "digest": DIGEST},
    "imagePullSecrets": ["registry"],
    "replicas": 1,
    "config": {
        "namespaces": ["shop", "web"],
        "logLevel": "debug",
        "dns": {
            "namespace": "dns",
            "ports": [5353],
            "addresses": ["169.254.20.10"],
            "labels": {"app": "dns", "tier": "infra"},
        },
        "scraping": {"namespace": "watch", "labels": {"release": "main"}},
        "edge": {
            "gateway": {"name": ""},
            "gateways": [
                {"namespace": "edge", "name": "internal", "className": "private"},
                {
                    "namespace": "dmz",
                    "name": "partners",
                    "listener": "web",
                    "className": "dmz",
                    "pods": {"namespace": "dmz", "labels": {"app": "proxy"}},
                },
            ],
            "ingressClassName": "nginx",
            "pods": {"namespace": "ingress", "labels": {"app": "nginx", "tier": "edge"}},
        },
    },
    "crd": {"install": False},
    "rbac": {"aggregateToUserRoles": False},
    "serviceAccount": {"annotations": {"example/role": "operator"}},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"metricsFrom": [], "apiServerPorts": [8443]},
    "admission": {
        "excludedNamespaces": ["legacy"],
        "zones": 3,
        "policies": {
            "pause": {"mode": "Warn", "maxDays": 2},
            "annotations": {"mode": "Disabled"},
            "environment": {"mode": "Disabled"},
            "podCreators": {"mode": "Deny"},
            "secretReaders": {"mode": "Disabled"},  # twenty times the same; tests/api has it at work
            "images": {
                "mode": "Deny",
                "registries": {"default": ["registry.example/shop"], "namespaces": {"web": ["ghcr.io"]}},
                "requireDigestIn": ["production"],
            },
            "sizes": {
                "mode": "Warn",
                "default": {"replicas": 10, "memory": "4Gi"},
                "namespaces": {"web": {"replicas": 50}},
            },
        },
        "webhook": {
            "timeoutSeconds": 5,
            "allowFrom": ["10.0.0.0/28"],
            "certificate": {"source": "Secret", "secretName": "ours", "caBundle": AUTHORITY},
        },
    },
    "podAnnotations": {"example/upgraded": "yes"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
}
REFUSED = {
    "replicas-zero": ({"replicas": 0}, ["/replicas", "want 1"]),
    "replicas-word": ({"replicas": "two"}, ["/replicas", "want integer"]),
    "unknown-value": ({"imag": {"tag": "v1"}}, ["imag", "not allowed"]),
    "unknown-setting": ({"config": {"threads": 4}}, ["/config", "threads", "not allowed"]),
    "tag-latest": ({"image": {"tag": "latest"}}, ["image.tag", "write a version such as v0.1.0"]),
    "digest-short": ({"image": {"digest": "sha256:abc"}}, ["/image/digest", "sha256:abc"]),
    "log-level": (
        {"config": {"logLevel": "loud"}},
        ["/config/logLevel", "'debug', 'info', 'warning', 'error'"],
    ),
    "workers-many": ({"config": {"workers": 100}}, ["/config/workers", "want 64"]),
    "namespace-bad": ({"config": {"namespaces": ["A_b"]}}, ["/config/namespaces/0", "A_b"]),
    "dns-label": ({"config": {"dns": {"labels": {"a": "b,c"}}}}, ["/config/dns/labels/a", "b,c"]),
    "gateway-without-class": (
        {"config": {"edge": {"gateways": [{"namespace": "edge", "name": "internal"}]}}},
        ["/config/edge/gateways/0", "className"],
    ),
    "selector-label": ({"podLabels": {"app.kubernetes.io/name": "x"}}, ["podLabels", "write another label"]),
    "mode-unknown": (
        {"admission": {"policies": {"pause": {"mode": "Audit"}}}},
        ["/admission/policies/pause/mode", "'Deny', 'Warn', 'Disabled'"],
    ),
    "webhook-patience": (
        {"admission": {"webhook": {"timeoutSeconds": 6}}},
        ["/admission/webhook/timeoutSeconds", "want 5"],
    ),
    "registry-with-slash": (
        {"admission": {"policies": {"images": {"registries": {"default": ["ghcr.io/"]}}}}},
        ["/admission/policies/images/registries/default/0", "ghcr.io/"],
    ),
    "certificate-without-secret": (
        {"admission": {"webhook": {"certificate": {"source": "Secret"}}}},
        ["admission.webhook.certificate", "write secretName and caBundle"],
    ),
    "port-zero": ({"networkPolicy": {"apiServerPorts": [0]}}, ["/networkPolicy/apiServerPorts/0", "want 1"]),
}


def blank_certificates(manifests: list[Json]) -> None:
    """Without a cluster each rendering makes new ones."""
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            manifest["data"] = dict.fromkeys(manifest["data"], "made by Helm")
            for name in manifest["metadata"].get("annotations", {}):
                manifest["metadata"]["annotations"][name] = "now"
        if manifest["kind"] == "ValidatingWebhookConfiguration":
            for webhook in manifest["webhooks"]:
                webhook["clientConfig"]["caBundle"] = "made by Helm"


@pytest.mark.parametrize(("case", "values"), [("default", BY_DIGEST), ("odd", ODD)], ids=["default", "odd"])
def test_the_rendering_is_the_golden_one(case: str, values: Json, update_golden: bool) -> None:
    manifests = [m for m in render(values) if m["kind"] != "CustomResourceDefinition"]  # has its own test
    blank_certificates(manifests)
    text = yaml.safe_dump_all(manifests, sort_keys=True, width=110)
    golden = GOLDEN / f"{case}.yaml"
    if update_golden:
        golden.write_text(text)

    assert text == golden.read_text(), "read the difference, then: pytest tests/chart --update-golden"


def test_the_operators_token_is_asked_for_and_lives_where_clients_look() -> None:
    spec = pod_spec(render({}))
    (access,) = (volume for volume in spec["volumes"] if volume["name"] == "api-access")
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "api-access")

    assert spec["automountServiceAccountToken"] is False
    assert Path(mount["mountPath"]) == SERVICE_ACCOUNT
    assert [next(iter(source)) for source in access["projected"]["sources"]] == [
        "serviceAccountToken", "configMap", "downwardAPI",
    ]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_values_are_refused_with_their_name(values: Json, words: list[str]) -> None:
    with pytest.raises(HelmError) as refusal:
        render(values)

    assert [word for word in words if word not in refusal.value.stderr] == []


def test_helm_has_nothing_to_say_against_the_chart() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_crd_is_the_generated_one_and_survives_the_release() -> None:
    rendered = only(render(), "CustomResourceDefinition")
    generated = yaml.safe_load((CHART / "files" / "crd.yaml").read_text())

    assert rendered["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert rendered["metadata"]["name"] == generated["metadata"]["name"]
    assert rendered["spec"] == generated["spec"]


def test_rights_are_those_of_the_rules_file_and_never_a_wildcard() -> None:
    everywhere, confined, blind = render(), render(ODD), render({"rbac": {"references": False}})
    rules = yaml.safe_load((CHART / "files" / "rbac-rules.yaml").read_text())
    named = [*rules["services"], *rules["references"]]

    def own(manifests: list[Json]) -> Json:
        return next(
            m for m in of_kind(manifests, "ClusterRole") if m["metadata"]["name"].endswith("operator")
        )

    assert own(everywhere)["rules"] == [*named, *rules["cluster"]]
    assert own(blind)["rules"] == [*rules["services"], *rules["cluster"]]
    # What is in no namespace cannot be granted in one: confined, the operator does without.
    assert of_kind(confined, "ClusterRole") == of_kind(confined, "ClusterRoleBinding") == []
    assert {
        m["metadata"]["namespace"]: m["rules"] for m in of_kind(confined, "Role") if m["rules"] == named
    } == {"shop": named, "web": named}
    granted = [
        rule
        for m in everywhere + confined
        for rule in m.get("rules", [])
        if m["kind"] in {"Role", "ClusterRole"}
    ]
    assert [rule for rule in granted if any("*" in values for values in rule.values())] == []


def test_only_the_own_lease_can_be_changed() -> None:
    (lease_role,) = of_kind(render(), "Role")

    assert lease_role["metadata"]["namespace"] == NAMESPACE
    (changing,) = [rule for rule in lease_role["rules"] if "update" in rule["verbs"]]
    assert lease_role["rules"] == lease_rules("productionservice-operator")
    assert changing["resourceNames"] == [environment(render())["PRODUCTIONSERVICE_OPERATOR_LEASE_NAME"]]


def test_pods_are_restricted_and_get_no_variables_from_services() -> None:
    spec = pod_spec(render())
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # A Service called productionservice-operator would give PRODUCTIONSERVICE_OPERATOR_PORT, which is refused.
    assert spec["enableServiceLinks"] is False


def test_another_release_has_names_of_its_own() -> None:
    names = {
        m["metadata"]["name"] for m in render(release="second") if m["kind"] != "CustomResourceDefinition"
    }

    assert all(name.startswith("second-productionservice-operator") for name in names), names


def test_s01_users_get_no_more_than_is_documented() -> None:
    roles = {
        role["metadata"]["name"].rpartition("-")[2]: role
        for role in of_kind(render(), "ClusterRole")
        if any(label.startswith("rbac.authorization.k8s.io/") for label in role["metadata"]["labels"])
    }
    aggregated = {
        name: sorted(
            label.partition("aggregate-to-")[2]
            for label in role["metadata"]["labels"]
            if "aggregate-to-" in label
        )
        for name, role in roles.items()
    }
    group = ["productionservice.io"]

    # Kubernetes' own edit and admin have everything of view.
    assert aggregated == {"view": ["view"], "edit": ["admin", "edit"]}
    assert roles["view"]["rules"] == [
        {"apiGroups": group, "resources": ["productionservices", "productionservices/status"],
         "verbs": ["get", "list", "watch"]}
    ]  # fmt: skip
    assert roles["edit"]["rules"] == [
        {"apiGroups": group, "resources": ["productionservices"],
         "verbs": ["create", "delete", "deletecollection", "patch", "update"]}
    ]  # fmt: skip
