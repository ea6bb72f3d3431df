"""The chart's policies on a real API server: tenants are refused in words, and nobody is held up who should not be."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from productionservice.effective import PROFILES
from tests.api.operator_process import CRD
from tests.chart.rendering import Json, of_kind, render
from tests.support.shop import Shop

pytestmark = pytest.mark.api

DENY = {"mode": "Deny"}
DIGEST = f"sha256:{'0' * 64}"
WRITER, TEAM = "tenant-writer", "tenant-team"
"""May write services only; may create pods and read the Secrets s0 to s29 as well."""
MOST_SECRETS = 20
PAUSE = "productionservice.io/paused"


def policies(namespace: str, other: str) -> Json:
    """Values of the chart that ask everything, in one namespace only: others are at work on this API server."""
    asked = dict.fromkeys(("annotations", "environment", "podCreators", "secretReaders"), DENY)
    registries = {
        "default": ["registry.example/shop", "docker.io/library"],
        "namespaces": {other: ["ghcr.io"]},
    }
    sizes = {
        "default": {"replicas": 99, "cpu": "2", "memory": "1Gi"},
        "namespaces": {namespace: {"replicas": 2}},
    }
    return {
        "config": {"namespaces": [namespace]},
        "admission": {
            "policies": {
                **asked,
                "pause": {**DENY, "maxDays": 7},
                "images": {**DENY, "registries": registries, "requireDigestIn": ["production"]},
                "sizes": {**DENY, **sizes},
            },
        },
    }


@dataclass(frozen=True)
class Tenant:
    """Writes services as somebody who is no administrator."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def write(self, user: str = TEAM, verb: str = "create", *flags: str, **service: Any) -> str:
        """What kubectl says, warnings too. Raises with the API server's answer when it refuses."""
        arguments = (verb, *flags, f"--as={user}", "-f", "-")
        body = json.dumps(manifest(**service))
        return self.kubectl(
            *arguments, input=body, capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def refused(self, user: str = TEAM, **service: Any) -> str:
        """The answer to a dry run; empty when it is accepted."""
        return refusal_of(lambda: self.write(user, "create", "--dry-run=server", **service))


def refusal_of(call: Any) -> str:
    try:
        call()
    except subprocess.CalledProcessError as error:
        return f"{error.stdout}{error.stderr}"
    return ""


def manifest(name: str = "catalog", annotations: Json | None = None, **spec: Any) -> Json:
    """A service that every policy accepts, but for what is given."""
    image = {"repository": "registry.example/shop/catalog", "tag": "v1"}
    return {
        "apiVersion": "productionservice.io/v1alpha1",
        "kind": "ProductionService",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"environment": "staging", "image": image, **spec},
    }


def image(repository: str, **more: Any) -> Json:
    return {"image": {"repository": repository, "tag": "v1", **more}}


def variables(*secrets: str) -> list[Json]:
    """A variable out of each Secret."""
    return [
        {"name": f"V{index}", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}
        for index, name in enumerate(secrets)
    ]


def pause(ahead: timedelta, *, by: str = "ann", why: str = "load test") -> Json:
    until = (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"annotations": {PAUSE: f"until={until}; by={by}; why={why}"}}


def secrets(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


@pytest.fixture(scope="module")
def tenant(api_cluster: Cluster, shop: Shop) -> Iterator[Tenant]:
    """The namespace with all policies at work, and services in it that are older than those."""
    api_cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    api_cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRD))
    team = Tenant(api_cluster, shop.name)
    grant(team)
    for name in ("older", "oldest"):
        eventually(lambda name=name: team.write(name=name, **older()))  # type: ignore[misc] # bound at once
    rendered = render(policies(shop.name, "elsewhere"), release=f"t-{shop.name}")
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    made = [m for kind in kinds for m in of_kind(rendered, kind)]
    api_cluster.kubectl("apply", "-f", shop.write(made))
    eventually(lambda: at_work(team))
    yield team
    api_cluster.kubectl("delete", "-f", shop.write(made))


def older() -> Json:
    """What no policy would let in: odd annotations, and a foreign image in production, without a digest."""
    over = pause(-timedelta(days=400))["annotations"]
    return {
        "annotations": {**over, "productionservice.io/odd": "x"},
        **image("ghcr.io/strange"),
        "environment": "production",
        "mounts": [{"path": "/secret", "secret": "foreign"}],
    }


def grant(team: Tenant) -> None:
    services = "--resource=productionservices"
    verbs = "--verb=create,get,patch,update,delete"
    names = [f"--resource-name={name}" for name in secrets(30)]
    team.kubectl("create", "role", "services", verbs, services)
    team.kubectl("create", "role", "pods", "--verb=create", "--resource=pods")
    team.kubectl("create", "role", "secrets", "--verb=get", "--resource=secrets", *names)
    for role, users in {"services": (WRITER, TEAM), "pods": (TEAM,), "secrets": (TEAM,)}.items():
        team.kubectl("create", "rolebinding", role, f"--role={role}", *(f"--user={user}" for user in users))


def at_work(team: Tenant) -> None:
    """Each policy has been taken up by the API server, which needs a moment."""
    assert "may not create pods" in team.refused(WRITER)
    for service, _ in REFUSED.values():
        assert team.refused(**service)
    assert "until" in team.refused(**pause(timedelta(days=8)))


REFUSED: dict[str, tuple[Json, str]] = {
    "pause-form": (
        {"annotations": {PAUSE: "yes"}},
        f"metadata.annotations: {PAUSE}: 'yes' is not of its form; write until=2026-01-31T18:00:00Z; by=ann; "
        "why=load test",
    ),
    "pause-date": ({"annotations": {PAUSE: "until=2027-02-29T08:00:00Z; by=ann; why=x"}}, "its form"),
    "pause-nobody": ({"annotations": {PAUSE: "until=2026-01-31T18:00:00Z; why=x"}}, "its form"),
    "pause-over": (
        {"annotations": {PAUSE: "until=2026-01-31T18:00:00+01:00; by=ann; why=x"}},
        f"{PAUSE}: until=2026-01-31T18:00:00+01:00 is over, it is 20",
    ),
    "pause-for-ever": (
        {"annotations": {PAUSE: "until=2099-01-31T18:00:00Z; by=ann; why=x"}},
        "is more than 7 days ahead, and nobody repairs the service meanwhile; write 20",
    ),
    "annotation-misspelt": (
        {"annotations": {"productionservice.io/pause": "x"}},
        f"metadata.annotations: productionservice.io/pause means nothing on a ProductionService; write {PAUSE}, or "
        "remove it",
    ),
    "secret-in-env": (
        {"env": variables("s0", "foreign")},
        f"spec: the Secret 'foreign' is named, and {TEAM} may not read it; have the right to get it granted, or "
        "name another",
    ),
    "secret-mounted": ({"mounts": [{"path": "/a", "secret": "foreign"}]}, "the Secret 'foreign'"),
    "secret-to-pull": (image("nginx", pullSecrets=["s0", "foreign"]), "the Secret 'foreign'"),
    "secrets-many": (
        {"env": variables(*secrets(MOST_SECRETS + 1))},
        f"spec: more than {MOST_SECRETS} Secrets are named, too many to ask about one by one; have the right to get "
        "all Secrets of the namespace granted, or put values together in fewer",
    ),
    "registry-foreign": (
        image("registry.example/shopping"),
        "spec.image.repository: 'registry.example/shopping' is not from where images of namespace ",
    ),
    "registry-of-another-namespace": (image("ghcr.io/x"), "write one from registry.example/shop or docker"),
    "registry-lookalike": (image("docker.io.evil.example/library/x"), "is not from where images"),
    "registry-unsaid": (image("evil/nginx"), "'evil/nginx' is not from where images"),
    "digest-missing": (
        {"environment": "production", "replicas": {"min": 2}},
        "spec.image.digest: is missing, and environment production runs digests only, since a tag can be moved; "
        "write sha256: and 64 hex digits",
    ),
    "pods-many": ({"replicas": {"min": 1, "max": 3}}, "spec.replicas: 3 pods are more than a service of"),
    "cpu-much": (
        {"resources": {"requests": {"cpu": "2001m"}}},
        "spec.resources.requests.cpu: 2001m is more than a pod of namespace ",
    ),
    "memory-much": (
        {"resources": {"limits": {"memory": "1025Mi"}}},
        "spec.resources.limits.memory: 1025Mi is more than a pod of namespace ",
    ),
    "memory-unbounded": (
        {"resources": {"limits": {"cpu": "1"}}},
        "spec.resources.limits.memory: is missing, and a pod without it could use all of a node; write 1Gi or less",
    ),
}  # fmt: skip
ACCEPTED: dict[str, Json] = {
    "plain": {},
    "secrets-own": {"env": variables(*secrets(MOST_SECRETS)), "mounts": [{"path": "/a", "secret": "s1"}]},
    "one-secret-often": {"env": variables(*["s1"] * 60, "s2")},
    "registry-exact": image("registry.example/shop"),
    "registry-of-docker": image("nginx"),
    "digest": {**image("nginx", digest=DIGEST), "environment": "production", "replicas": {"min": 2}},
    "largest": {
        "replicas": {"min": 1, "max": 2},
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "1024Mi"}},
    },
    "other-annotations": {"annotations": {"example/productionservice.io": "x"}},
}


@pytest.mark.parametrize(("service", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_is_refused_in_words(tenant: Tenant, service: Json, words: str) -> None:
    assert words in tenant.refused(**service)


@pytest.mark.parametrize("service", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_may_be_is_accepted(tenant: Tenant, service: Json) -> None:
    assert tenant.refused(**service) == ""


def test_who_may_create_no_pods_may_write_no_service(tenant: Tenant) -> None:
    assert (
        f"spec: a ProductionService is pods, and {WRITER} may not create pods in namespace {tenant.namespace}; "
        "have the right to create pods granted there, for example the role edit"
    ) in tenant.refused(WRITER)


def test_who_reads_all_secrets_may_name_any_number_of_them(tenant: Tenant) -> None:
    tenant.kubectl("create", "role", "all-secrets", "--verb=get", "--resource=secrets")
    tenant.kubectl("create", "rolebinding", "all-secrets", "--role=all-secrets", f"--user={TEAM}")

    eventually(
        lambda: tenant.write(TEAM, "create", "--dry-run=server", env=variables(*secrets(60), "foreign"))
    )

    tenant.kubectl("delete", "rolebinding", "all-secrets")
    eventually(lambda: accepted_no_longer(tenant))


def accepted_no_longer(tenant: Tenant) -> None:
    assert tenant.refused(env=variables("foreign"))


@pytest.mark.parametrize("environment", PROFILES)
def test_pods_that_nobody_wrote_are_counted_as_the_operator_counts_them(
    tenant: Tenant, environment: str
) -> None:
    said = tenant.refused(environment=environment, **image("nginx", digest=DIGEST))
    pods = PROFILES[environment].replicas_min  # type: ignore[index] # an environment is a text

    assert ("spec.replicas" in said) == (pods > 2)
    assert f"spec.replicas: {pods} pods are more" in said or pods <= 2


@pytest.mark.parametrize(
    "flags", [("create",), ("apply",), ("apply", "--server-side", "--force-conflicts")], ids=" ".join
)
def test_a_pause_has_an_end_within_a_week_however_it_is_written(
    tenant: Tenant, flags: tuple[str, ...]
) -> None:
    name = f"pause-{len(' '.join(flags))}"
    verb, *more = flags
    for ahead in (timedelta(hours=-1), timedelta(days=7, minutes=5)):
        words = refusal_of(lambda ahead=ahead: tenant.write(TEAM, verb, *more, name=name, **pause(ahead)))
        assert "is over" in words or "is more than 7 days ahead" in words
    tenant.write(TEAM, verb, *more, name=name, **pause(timedelta(days=6, hours=23)))
    if verb == "apply":  # the clock of an update is another one than that of a create
        for ahead in (timedelta(hours=-1), timedelta(days=7, minutes=5)):
            assert refusal_of(lambda ahead=ahead: tenant.write(TEAM, verb, *more, name=name, **pause(ahead)))
        tenant.write(TEAM, verb, *more, name=name, **pause(timedelta(hours=1)))
    tenant.kubectl("annotate", "psvc", name, f"{PAUSE}-", f"--as={TEAM}")


def test_a_service_in_production_stays_there(tenant: Tenant) -> None:
    service = {**image("nginx", digest=DIGEST), "replicas": {"min": 1}}
    tenant.write(name="staying", **service)
    tenant.write(TEAM, "apply", name="staying", **{**service, "environment": "production"})

    said = refusal_of(lambda: tenant.write(TEAM, "apply", name="staying", **service))

    assert (
        "spec.environment: 'staging' would take pods and spread from a service in production; write production, and "
        "set what should differ, or make another service"
    ) in said


def test_rules_that_came_later_are_not_in_the_way_of_other_edits(tenant: Tenant) -> None:
    tenant.kubectl("label", "psvc", "older", "team=shop", f"--as={WRITER}")
    tenant.kubectl("annotate", "psvc", "older", "example/note=x", f"--as={WRITER}")
    status = {"status": {"observedGeneration": 1, "conditions": []}}
    merge = ("patch", "psvc", "older", "--type=merge", "--subresource=status", "-p", json.dumps(status))
    tenant.kubectl(*merge)

    more = json.dumps({"spec": {"replicas": {"min": 1}}})
    said = refusal_of(
        lambda: tenant.kubectl("patch", "psvc", "older", "--type=merge", "-p", more, f"--as={TEAM}")
    )
    assert "denied request" in said, "an edit of the spec is asked about all of it"


def test_a_delete_is_never_held_up(tenant: Tenant) -> None:
    held = json.dumps({"metadata": {"finalizers": ["example/held"]}})
    free = json.dumps({"metadata": {"finalizers": None, "annotations": {PAUSE: "nonsense"}}})
    tenant.kubectl("patch", "psvc", "oldest", "--type=merge", "-p", held, f"--as={WRITER}")

    tenant.kubectl("delete", "psvc", "oldest", "--wait=false", f"--as={WRITER}")
    tenant.kubectl("patch", "psvc", "oldest", "--type=merge", "-p", free, f"--as={WRITER}")

    assert tenant.kubectl("get", "psvc", "oldest", "--ignore-not-found") == ""


def test_the_policies_know_the_operators_annotation_by_its_name() -> None:
    assert labels.PAUSED == PAUSE


def test_the_api_server_finds_no_fault_in_the_policies(tenant: Tenant) -> None:
    rendered = render(policies(tenant.namespace, "elsewhere"), release=f"t-{tenant.namespace}")
    names = sorted(policy["metadata"]["name"] for policy in of_kind(rendered, "ValidatingAdmissionPolicy"))

    def checked() -> None:
        found = json.loads(tenant.cluster.kubectl("get", "validatingadmissionpolicies", "-o", "json"))[
            "items"
        ]
        ours = [policy for policy in found if policy["metadata"]["name"].startswith(f"t-{tenant.namespace}")]
        assert sorted(policy["metadata"]["name"] for policy in ours) == names
        assert {policy["status"]["observedGeneration"] for policy in ours} == {1}
        assert [policy["status"]["typeChecking"] for policy in ours if policy["status"]["typeChecking"]] == []

    eventually(checked)
