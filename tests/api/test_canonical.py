"""The manifests are canonical: a real API server keeps them, so that a second pass writes nothing.

And no pod of any spec is refused by Pod Security *restricted*, asked of the real admission.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from e2e.eventually import eventually
from productionservice.api import ProductionService
from productionservice.children import Manifest
from productionservice.children.quantity import canonical
from productionservice.plan import Action, Observed
from tests.support.builders import children, make_service, observe, plan_for, rendered
from tests.support.shop import Shop, refusal
from tests.support.specs import specs

pytestmark = pytest.mark.api

GOLDEN = Path(__file__).parents[1] / "operator" / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir())
EXAMPLES = settings(
    max_examples=25,  # of every shape; each is a few calls of kubectl, about half a second
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # `shop` makes a new name for each example
)


def golden(case: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((GOLDEN / case / "input.yaml").read_text())["spec"]
    return spec


def observed(shop: Shop, service: ProductionService) -> Observed:
    """What a pass would see of the service's children."""
    return observe(*shop.live(rendered(service)))


def versions(shop: Shop, service: ProductionService) -> list[str]:
    """Resource versions of the service's children, in apply order."""
    return [live["metadata"]["resourceVersion"] for live in shop.live(rendered(service))]


def assert_canonical(shop: Shop, service: ProductionService) -> None:
    """Applied once, every child is as wanted, and applying all of it again changes no resource version."""
    plan = plan_for(service, observe())
    shop.apply(plan)

    again = plan_for(service, observed(shop, service))
    assert [(c.ref, c.cause) for c in again.changes if c.action is not Action.UNCHANGED] == []

    def second_apply_changes_nothing() -> None:
        # Controllers write statuses for a while; an apply that were a write itself would never pass.
        before = versions(shop, service)
        shop.apply(plan)
        assert versions(shop, service) == before

    eventually(second_apply_changes_nothing)


@pytest.mark.parametrize("case", CASES)
def test_a_rendering_is_kept_as_it_is(shop: Shop, case: str) -> None:
    assert_canonical(shop, shop.service(golden(case)))


@EXAMPLES
@given(spec=specs)
def test_the_children_of_any_spec_are_kept_as_they_are(shop: Shop, spec: dict[str, Any]) -> None:
    assert_canonical(shop, shop.service(spec))


def test_an_edit_by_hand_is_seen_and_one_apply_repairs_it(shop: Shop) -> None:
    service = shop.service({"replicas": {"max": 9}, "network": {"allowFrom": [{"service": "web"}]}})
    shop.apply(plan_for(service, observe()))
    name = service.metadata.name
    edits = {
        "deployment": '{"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}',
        "service": '{"spec": {"selector": {"extra": "label"}}}',
        "networkpolicy": '{"spec": {"ingress": [{}]}}',
        "poddisruptionbudget": '{"spec": {"maxUnavailable": 0}}',
        "horizontalpodautoscaler": '{"spec": {"maxReplicas": 50}}',
        "serviceaccount": '{"automountServiceAccountToken": true}',
    }
    for kind, patch in edits.items():
        shop.cluster.kubectl("-n", shop.name, "patch", kind, name, "--type=merge", "-p", patch)

    plan = plan_for(service, observed(shop, service))

    assert {change.ref.kind.lower() for change in plan.writes} == set(edits)
    assert all(change.cause.startswith("drift: ") for change in plan.writes)
    shop.apply(plan)
    assert plan_for(service, observed(shop, service)).writes == ()


def test_a_field_that_leaves_the_spec_leaves_the_object(shop: Shop) -> None:
    env, mounts = [{"name": "OLD", "value": "x"}], [{"path": "/a", "secret": "a"}]
    before = shop.service({"env": env, "command": ["run"], "mounts": mounts})
    after = shop.again(before.metadata.name)
    shop.apply(plan_for(before, observe()))
    shop.apply(plan_for(after, observed(shop, before)))

    [deployment] = shop.live([children(after)["Deployment"]])
    pod = deployment["spec"]["template"]["spec"]
    assert [v["name"] for v in pod["containers"][0]["env"]] == ["PRODUCTIONSERVICE_CONFIG"]
    assert "command" not in pod["containers"][0]
    assert [v["name"] for v in pod["volumes"]] == ["config", "tmp"]


class TestReplicas:
    """The number of pods through both hand-overs (ADR 0004)."""

    def count(self, shop: Shop, service: ProductionService) -> int:
        [deployment] = shop.live([children(service)["Deployment"]])
        found: int = deployment["spec"]["replicas"]
        return found

    def scale(self, shop: Shop, service: ProductionService, count: int) -> None:
        """What an autoscaler does."""
        shop.cluster.kubectl(
            "-n", shop.name, "scale", "deployment", service.metadata.name, f"--replicas={count}"
        )

    def test_an_autoscaler_keeps_what_it_finds_and_is_left_alone(self, shop: Shop) -> None:
        fixed = shop.service({"replicas": {"min": 5}})
        scaled = shop.again(fixed.metadata.name, replicas={"min": 3, "max": 9})

        shop.apply(plan_for(fixed, observe()))
        assert self.count(shop, fixed) == 5
        shop.apply(plan_for(scaled, observed(shop, fixed)))
        assert self.count(shop, fixed) == 5
        self.scale(shop, fixed, 8)
        assert plan_for(scaled, observed(shop, scaled)).writes == ()
        shop.apply(plan_for(scaled, observed(shop, scaled)))
        assert self.count(shop, fixed) == 8

    def test_a_fixed_number_is_set_at_once(self, shop: Shop) -> None:
        scaled = shop.service({"replicas": {"min": 3, "max": 9}})
        fixed = shop.again(scaled.metadata.name, replicas={"min": 4})

        shop.apply(plan_for(scaled, observe()))
        self.scale(shop, scaled, 7)
        plan = plan_for(fixed, observed(shop, scaled))
        shop.apply(plan)

        assert self.count(shop, fixed) == 4


def test_one_manager_that_drops_the_number_would_reset_it(shop: Shop) -> None:
    # Why the number has a manager of its own. When this fails, ADR 0004 can be simplified.
    deployment = children(shop.service({}))["Deployment"]
    with_number = {**deployment, "spec": {**deployment["spec"], "replicas": 5}}
    for manifest in (with_number, deployment):
        flags = ("--server-side", "--force-conflicts", "--field-manager=somebody")
        shop.cluster.kubectl("apply", *flags, "-f", shop.write([manifest]))

    [live] = shop.live([deployment])
    assert live["spec"]["replicas"] == 1


def test_quantities_are_what_the_api_server_writes(shop: Shop) -> None:
    texts = [
        "0.5",
        "1000m",
        "1500m",
        "1000k",
        "2000Gi",
        "8Gi",
        "1024Mi",
        "1.5Gi",
        "0.5Ki",
        "0.1Mi",
        "1000",
        "250m",
    ]
    service = shop.service({})
    deployment = children(service)["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    deployment["spec"]["template"]["spec"]["containers"] = [
        {**container, "name": f"c{index}", "resources": {"limits": {"memory": text}}}
        for index, text in enumerate(texts)
    ]
    shop.cluster.kubectl("create", "-f", shop.write([deployment]))

    [live] = shop.live([deployment])
    written = [c["resources"]["limits"]["memory"] for c in live["spec"]["template"]["spec"]["containers"]]
    assert written == [canonical(text) for text in texts]


@dataclass(frozen=True)
class Podded:
    """A shop with the service account that dry-run pods name."""

    shop: Shop
    account: str

    def pod(self, spec: dict[str, Any], edit: Callable[[dict[str, Any]], None] = lambda _: None) -> Manifest:
        """A pod made of the template of this spec."""
        template = children(make_service(namespace=self.shop.name, **spec))["Deployment"]["spec"]["template"]
        pod = {**template["spec"], "serviceAccountName": self.account}
        edit(pod)
        metadata = {
            **template["metadata"],
            "name": f"pod-{uuid.uuid4().hex[:8]}",
            "namespace": self.shop.name,
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


@pytest.fixture(scope="module")
def podded(shop: Shop) -> Podded:
    """Pods can be asked for here."""
    shop.cluster.kubectl("-n", shop.name, "create", "serviceaccount", "pods")
    return Podded(shop, "pods")


@pytest.mark.parametrize("case", CASES)
def test_pod_security_restricted_takes_every_rendering(podded: Podded, case: str) -> None:
    podded.shop.dry_run([podded.pod(golden(case))])


@EXAMPLES
@given(spec=specs)
def test_pod_security_restricted_takes_the_pods_of_any_spec(podded: Podded, spec: dict[str, Any]) -> None:
    podded.shop.dry_run([podded.pod(spec)])


def test_pod_security_restricted_is_enforced_here(podded: Podded) -> None:
    # Else the two tests above could not fail.
    def loosen(pod: dict[str, Any]) -> None:
        pod["securityContext"]["runAsNonRoot"] = False

    assert 'violates PodSecurity "restricted' in refusal(
        lambda: podded.shop.dry_run([podded.pod({}, loosen)])
    )
