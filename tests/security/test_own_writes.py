"""What the operator's own token can write with the chart's policies at work, and that the operator is not hindered."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from productionservice.api import KIND
from productionservice.children import CHILDREN
from tests.api.operator_process import ACCOUNT, OperatorProcess
from tests.api.team import Team
from tests.chart.rendering import NAMESPACE, Json, of_kind, render
from tests.security.test_rights import EVERY_CHILD, every_child, surplus
from tests.support.shop import refusal

pytestmark = pytest.mark.api

USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def own_policies(home: str) -> list[Json]:
    """Those of the chart that bound the operator, for one whose account is in this namespace."""
    rendered = render({"rbac": {"boundWrites": True}}, release=f"{ACCOUNT}-{home}")
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    made = [m for kind in kinds for m in of_kind(rendered, kind) if "-own-" in m["metadata"]["name"]]
    for policy in of_kind(made, "ValidatingAdmissionPolicy"):
        (condition,) = policy["spec"]["matchConditions"]
        user = f"system:serviceaccount:{home}:{ACCOUNT}"
        condition["expression"] = f"request.userInfo.username == '{user}'"
    return made


@pytest.fixture(scope="module")
def bound(
    api_cluster: Cluster, every_kind: None, tmp_path_factory: pytest.TempPathFactory  # noqa: ARG001 - for its effect
) -> Iterator[OperatorProcess]:  # fmt: skip
    """An operator at work whose writes are bound."""
    home, folder = f"system-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("bound")
    process = OperatorProcess(api_cluster, home, folder)
    process.install()
    made = json.dumps({"apiVersion": "v1", "kind": "List", "items": own_policies(home)})
    api_cluster.kubectl("apply", "-f", "-", input=made)
    process.start()
    yield process
    process.kill()
    api_cluster.kubectl("delete", "-f", "-", input=made)
    api_cluster.kubectl("delete", "namespace", home, "--wait=false")


@pytest.fixture
def kept(bound: OperatorProcess, namespace: str, tmp_path: Path) -> Team:
    """A namespace with a service, once the policies are at work."""
    team = Team(bound.cluster, bound, namespace, tmp_path)
    eventually(lambda: at_work(team), timeout=30)
    return team


def at_work(team: Team) -> None:
    assert "the operator" in stolen(team, "create", orphan("Service"))
    assert "the operator" in stolen(team, "create", template(lambda pod: pod.update(hostPID=True)))


def stolen(team: Team, verb: str, manifest: Json, *flags: str) -> str:
    """What the API server says to a dry run with the operator's token; empty when it lets it pass."""
    return refusal(
        lambda: team.cluster.kubectl(
            f"--kubeconfig={team.operator.folder / 'kubeconfig'}", "-n", team.namespace, verb, *flags,
            "--dry-run=server", "-f", "-", input=json.dumps(manifest),
        )
    )  # fmt: skip


def owned(kind: str) -> Json:
    """A child as the operator would make it, of an owner that need not be there."""
    child: Json = copy.deepcopy(dict(every_child()[kind]))
    del child["metadata"]["namespace"]
    return child


def orphan(kind: str) -> Json:
    child = owned(kind)
    del child["metadata"]["ownerReferences"]
    return child


def name_as(child: Json, name: str) -> None:
    """Another name; the pods' account as well, or the policy about pods may be the one that answers."""
    child["metadata"]["name"] = name
    if child["kind"] == "Deployment":
        child["spec"]["template"]["spec"]["serviceAccountName"] = name


def template(change: Callable[[dict[str, Any]], Any]) -> Json:
    """A Deployment with another pod."""
    child = owned("Deployment")
    change(child["spec"]["template"]["spec"])
    return child


def in_container(**context: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda pod: pod["containers"][0]["securityContext"].update(context)


def volume(**source: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda pod: pod["volumes"].append({"name": "stolen", **source})


TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}
POD = "spec.template.spec"
PODS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "host-path": (volume(hostPath={"path": "/"}), f"{POD}: the operator gives no pod hostPath"),
    "host-network": (lambda pod: pod.update(hostNetwork=True), "no pod hostPath, hostNetwork"),
    "host-pid": (lambda pod: pod.update(hostPID=True), "hostPID or hostIPC"),
    "host-ipc": (lambda pod: pod.update(hostIPC=True), "hostPID or hostIPC"),
    "privileged": (in_container(privileged=True, allowPrivilegeEscalation=True), "no container privileged"),
    "capability": (in_container(capabilities={"add": ["SYS_ADMIN"]}), "adds no capabilities"),
    "privileged-before": (
        lambda pod: pod.update(
            initContainers=[{"name": "x", "image": "y", "securityContext": {"privileged": True}}]
        ),
        "no container privileged",
    ),
    "foreign-account": (lambda pod: pod.update(serviceAccountName="default"), f"{POD}.serviceAccountName: "),
    "no-account": (lambda pod: pod.pop("serviceAccountName"), f"{POD}.serviceAccountName: "),
    "token": (lambda pod: pod.update(automountServiceAccountToken=True), "no pod a token"),
    "token-unsaid": (lambda pod: pod.pop("automountServiceAccountToken"), "no pod a token"),
    "token-projected": (volume(projected=TOKEN), "no pod a token"),
}


def test_s01_a_stolen_token_reaches_no_node_no_other_account_and_no_token(kept: Team) -> None:
    for case, (change, words) in PODS.items():
        assert words in stolen(kept, "create", template(change)), case


@pytest.mark.parametrize("kind", [kind.kind for kind, _ in CHILDREN])
def test_s01_a_stolen_token_writes_children_only(kept: Team, kind: str) -> None:
    other_name = owned(kind)
    name_as(other_name, "other")
    foreign = owned(kind)
    foreign["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "catalog", "uid": "u", "controller": True}
    ]
    not_controlled = owned(kind)
    not_controlled["metadata"]["ownerReferences"][0]["controller"] = False

    for refused in (orphan(kind), foreign, not_controlled):
        assert "metadata.ownerReferences: the operator" in stolen(kept, "create", refused)
    assert "metadata.name: the operator" in stolen(kept, "create", other_name)
    name_as(other_name, "catalog-other")
    assert "metadata.name: the operator" in stolen(kept, "create", other_name)
    assert stolen(kept, "create", owned(kind)) == "", "what it has to write"


def test_s01_a_stolen_token_neither_changes_nor_deletes_what_is_somebody_elses(kept: Team) -> None:
    theirs = orphan("Service")
    del theirs["metadata"]["annotations"]
    theirs["metadata"]["name"] = "theirs"
    kept.create(theirs)

    assert "metadata.ownerReferences" in stolen(kept, "delete", theirs)
    changed = copy.deepcopy(theirs)
    changed["spec"]["selector"] = {"app": "phishing"}
    server_side = ("--server-side", "--force-conflicts", "--field-manager=productionservice-operator")
    assert "metadata.ownerReferences" in stolen(kept, "apply", changed, *server_side)


def test_s01_the_operator_works_as_before_when_its_writes_are_bound(kept: Team) -> None:
    kept.apply(**EVERY_CHILD)
    kept.converged()
    surplus(kept)
    kept.repair()
    kept.apply(**{**EVERY_CHILD, "replicas": {"min": 3, "max": 5}})
    kept.converged()
    stripped = '{"metadata":{"ownerReferences":null},"spec":{"selector":{"broken":"yes"}}}'
    kept.kubectl("patch", "service", "catalog", "--type=merge", "-p", stripped)

    def whole() -> None:
        service = kept.get("service")
        assert service["metadata"]["ownerReferences"][0]["kind"] == KIND
        assert service["spec"]["selector"] == labels.selector_labels("catalog")

    eventually(whole, timeout=30)
    kept.kubectl("delete", "psvc", "catalog", "--wait=true")


def test_s01_what_somebody_put_into_a_child_is_not_in_the_way_of_its_repair(kept: Team) -> None:
    """The operator leaves fields alone that it does not write; its policy must not make them an obstacle."""
    kept.apply(replicas={"min": 2})
    kept.converged()
    pod = {
        "hostNetwork": True,
        "serviceAccountName": "default",
        "automountServiceAccountToken": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    patch = json.dumps({"spec": {"template": {"spec": pod}}})
    kept.kubectl("patch", "deployment", "catalog", "--type=strategic", "-p", patch)

    def repaired() -> None:
        spec = kept.get("deployment")["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == "catalog"
        assert spec["automountServiceAccountToken"] is False

    eventually(repaired, timeout=30)
    kept.converged()


def test_s01_an_adopted_object_is_the_services_from_then_on(kept: Team) -> None:
    found = orphan("Service")
    found["metadata"]["annotations"] = {labels.ADOPT: "catalog"}
    kept.create(found)
    kept.apply(replicas={"min": 2})
    kept.converged()

    assert kept.get("service")["metadata"]["ownerReferences"][0]["name"] == "catalog"
