"""Policies and webhook in the chart: each can be switched off, none can hold up a delete, and certificates fit."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator

import pytest
from cryptography import x509

from e2e import crds
from e2e.cluster.providers import Cluster
from e2e.helm import helm
from productionservice.admission.server import PATH
from productionservice.children import CHILDREN
from tests.chart.rendering import (
    CHART,
    NAME,
    NAMESPACE,
    ROOT,
    Json,
    environment,
    of_kind,
    only,
    pod_spec,
    render,
)

pytestmark = pytest.mark.api  # needs Helm, which is built with the cluster's other tools

POLICIES = ("pause", "annotations", "environment", "podCreators", "secretReaders", "images", "sizes")
MODES = ("Deny", "Warn", "Disabled")


def with_policies(mode: str) -> list[Json]:
    return render({"admission": {"policies": {policy: {"mode": mode} for policy in POLICIES}}})


def about_services(manifests: list[Json], kind: str = "ValidatingAdmissionPolicy") -> list[Json]:
    """Without those that bound the operator's own writes."""
    return [m for m in of_kind(manifests, kind) if not m["metadata"]["name"].startswith(f"{NAME}-own-")]


def webhook(manifests: list[Json]) -> Json:
    found: Json = only(manifests, "ValidatingWebhookConfiguration")["webhooks"][0]
    return found


def certificate(encoded: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(encoded))


@pytest.mark.parametrize("mode", MODES)
def test_each_policy_can_refuse_warn_or_be_off(mode: str) -> None:
    manifests = with_policies(mode)
    policies = about_services(manifests)
    bindings = about_services(manifests, "ValidatingAdmissionPolicyBinding")

    assert len(policies) == len(bindings) == (0 if mode == "Disabled" else len(POLICIES))
    assert all(binding["spec"]["validationActions"] == [mode] for binding in bindings)
    assert {b["spec"]["policyName"] for b in bindings} == {p["metadata"]["name"] for p in policies}


def test_every_policy_of_the_chart_is_in_the_document() -> None:
    text = (ROOT / "docs" / "admission.md").read_text()
    for policy in of_kind(with_policies("Deny"), "ValidatingAdmissionPolicy"):
        name = policy["metadata"]["name"].removeprefix(f"{NAME}-")
        value = re.sub(r"-(\w)", lambda letter: letter[1].upper(), name)
        assert f"| `{value}` |" in text or f"`…-{name}`" in text, name


def test_nothing_is_asked_about_deletes_status_or_the_systems_own_namespaces() -> None:
    manifests = with_policies("Deny")
    asked = [policy["spec"] for policy in about_services(manifests)]
    matched = [(spec["matchConstraints"], spec["matchConditions"]) for spec in asked]
    own = webhook(manifests)
    matched.append(({**own, "resourceRules": own["rules"]}, own["matchConditions"]))

    for constraints, conditions in matched:
        (rule,) = constraints["resourceRules"]
        assert rule["operations"] == ["CREATE", "UPDATE"]
        assert rule["resources"] == ["productionservices"]
        assert conditions[0]["expression"] == "!has(object.metadata.deletionTimestamp)"
        (excluded,) = constraints["namespaceSelector"]["matchExpressions"]
        assert excluded == {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", NAMESPACE],
        }


def test_the_webhook_cannot_keep_anybody_from_writing() -> None:
    own = webhook(render())

    assert own["failurePolicy"] == "Ignore"
    assert own["sideEffects"] == "None"
    assert own["timeoutSeconds"] <= 5


def test_the_api_server_calls_what_the_operator_serves() -> None:
    manifests = render()
    service = webhook(manifests)["clientConfig"]["service"]
    (port,) = next(
        m["spec"]["ports"] for m in of_kind(manifests, "Service") if m["metadata"]["name"] == service["name"]
    )
    (container,) = pod_spec(manifests)["containers"]
    (listening,) = [p for p in container["ports"] if p["name"] == port["targetPort"]]
    ingress = only(manifests, "NetworkPolicy")["spec"]["ingress"]

    assert service["path"] == PATH
    assert service["port"] == port["port"]
    assert {"ports": [{"protocol": "TCP", "port": listening["containerPort"]}]} in ingress
    _token, mount = container["volumeMounts"]
    assert mount["mountPath"] == environment(manifests)["PRODUCTIONSERVICE_OPERATOR_WEBHOOK_CERTIFICATES"]


def test_the_charts_certificate_is_for_its_service_and_pods_never_see_the_authoritys_key() -> None:
    manifests = render()
    secrets = {m["metadata"]["name"]: m["data"] for m in of_kind(manifests, "Secret")}
    authority, served = secrets[f"{NAME}-webhook-ca"], secrets[f"{NAME}-webhook"]
    leaf = certificate(served["tls.crt"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    bundle = webhook(manifests)["clientConfig"]["caBundle"]
    _token, volume = pod_spec(manifests)["volumes"]

    leaf.verify_directly_issued_by(certificate(bundle))
    assert names.get_values_for_type(x509.DNSName) == [f"{NAME}-webhook.{NAMESPACE}.svc"]
    assert bundle == authority["tls.crt"] == served["ca.crt"]
    assert volume["secret"]["secretName"] == f"{NAME}-webhook"
    assert [item["key"] for item in volume["secret"]["items"]] == ["tls.crt", "tls.key"]


@pytest.mark.parametrize(
    ("issuer", "named"),
    [({}, f"{NAME}-webhook"), ({"kind": "ClusterIssuer", "name": "internal"}, "internal")],
)
def test_cert_manager_makes_the_certificate_and_brings_its_authority(issuer: Json, named: str) -> None:
    manifests = render(
        {"admission": {"webhook": {"certificate": {"source": "CertManager", "issuerRef": issuer}}}}
    )
    made = only(manifests, "Certificate")
    configuration = only(manifests, "ValidatingWebhookConfiguration")
    _token, volume = pod_spec(manifests)["volumes"]

    assert of_kind(manifests, "Secret") == []
    assert len(of_kind(manifests, "Issuer")) == (0 if issuer else 1)
    assert made["spec"]["issuerRef"]["name"] == named
    assert made["spec"]["dnsNames"] == [f"{NAME}-webhook.{NAMESPACE}.svc"]
    assert volume["secret"]["secretName"] == made["spec"]["secretName"]
    reference = f"{NAMESPACE}/{made['metadata']['name']}"
    assert configuration["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": reference}
    assert "caBundle" not in configuration["webhooks"][0]["clientConfig"]


def test_without_the_webhook_nothing_of_it_is_left() -> None:
    manifests = render({"admission": {"webhook": {"enabled": False}}})
    spec = pod_spec(manifests)

    assert of_kind(manifests, "ValidatingWebhookConfiguration") == of_kind(manifests, "Secret") == []
    assert [volume["name"] for volume in spec["volumes"]] == ["api-access"]
    assert "webhook" not in str(spec)
    assert 9443 not in [
        p["port"] for rule in only(manifests, "NetworkPolicy")["spec"]["ingress"] for p in rule["ports"]
    ]


def test_the_operator_may_neither_change_webhooks_nor_write_secrets() -> None:
    rules = [rule for m in render() if m["kind"] in {"ClusterRole", "Role"} for rule in m["rules"]]

    assert [rule for rule in rules if "admissionregistration.k8s.io" in rule["apiGroups"]] == []
    verbs = {verb for rule in rules if "secrets" in rule["resources"] for verb in rule["verbs"]}
    assert verbs <= {"list", "watch"}


def test_upgrades_keep_the_certificate_until_it_is_time_for_another(
    api_cluster: Cluster, namespace: str
) -> None:
    name = f"{NAME}-{uuid.uuid4().hex[:4]}"

    def deploy(verb: str, *flags: str) -> tuple[str, str, str]:
        """What is served, who signed it, and whom the API server trusts then."""
        kubeconfig = ("--kubeconfig", str(api_cluster.kubeconfig_path), "-n", namespace)
        helm(verb, name, str(CHART), *kubeconfig, *flags)
        read = ("-o", "jsonpath={.data.tls\\.crt}")
        served = api_cluster.kubectl("-n", namespace, "get", "secret", f"{name}-webhook", *read)
        authority = api_cluster.kubectl("-n", namespace, "get", "secret", f"{name}-webhook-ca", *read)
        trusted = api_cluster.kubectl(
            "get",
            "validatingwebhookconfiguration",
            name,
            "-o",
            "jsonpath={.webhooks[0].clientConfig.caBundle}",
        )
        certificate(served).verify_directly_issued_by(certificate(trusted))
        return served, authority, trusted

    first = deploy("install", "--take-ownership", "--force-conflicts")
    try:
        assert deploy("upgrade") == first
        api_cluster.kubectl("-n", namespace, "delete", "secret", f"{name}-webhook")
        again = deploy("upgrade")
        assert again[0] != first[0]
        assert again[1:] == first[1:], "the authority stays, and so old and new are trusted at the same time"
    finally:
        helm("uninstall", name, "--kubeconfig", str(api_cluster.kubeconfig_path), "-n", namespace)


@pytest.fixture
def cert_manager(api_cluster: Cluster) -> Iterator[Cluster]:
    """An API server that knows cert-manager's kinds; those that were there before stay."""
    names = ("issuers.cert-manager.io", "certificates.cert-manager.io")
    absent = not api_cluster.kubectl("get", "crd", *names, "--ignore-not-found")
    crds.install(api_cluster, "cert-manager", "issuers", "certificates")
    yield api_cluster
    if absent:
        api_cluster.kubectl("delete", "crd", *names)


def test_cert_manager_accepts_what_is_asked_of_it(cert_manager: Cluster, namespace: str) -> None:
    manifests = render({"admission": {"webhook": {"certificate": {"source": "CertManager"}}}})
    asked = [m for kind in ("Issuer", "Certificate") for m in of_kind(manifests, kind)]
    for manifest in asked:
        manifest["metadata"]["namespace"] = namespace

    said = cert_manager.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": asked}),
    )  # fmt: skip

    assert len(said.split()) == 2


def test_the_operators_own_writes_are_bound_unless_it_is_switched_off() -> None:
    own = [m for m in render() if m["metadata"]["name"].startswith(f"{NAME}-own-")]
    policies = of_kind(own, "ValidatingAdmissionPolicy")
    children = next(policy for policy in policies if policy["metadata"]["name"].endswith("-children"))
    asked = {
        (group, resource)
        for rule in children["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }

    assert asked == {(kind.group, kind.plural) for kind, _ in CHILDREN}
    for policy in policies:
        (condition,) = policy["spec"]["matchConditions"]
        user = f"system:serviceaccount:{NAMESPACE}:{pod_spec(render())['serviceAccountName']}"
        assert condition["expression"] == f"request.userInfo.username == '{user}'"
    assert len(of_kind(own, "ValidatingAdmissionPolicyBinding")) == len(policies) == 2
    assert [m for m in render({"rbac": {"boundWrites": False}}) if "-own-" in m["metadata"]["name"]] == []
