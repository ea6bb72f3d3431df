"""Faults in the cluster's objects: deleted, edited, in the way, refused."""

from __future__ import annotations

import json
import time
from typing import Any

from e2e.eventually import eventually
from e2e.faults.registry import fault
from e2e.faults.world import CANARY, World
from productionservice import labels


@fault("F21", "each child deleted by hand", "made again")
def deleted(world: World) -> None:
    world.apply()
    world.converged()
    for kind in world.children():
        world.kubectl("delete", kind.lower(), "catalog", "--wait=false")
    world.forget(*world.uids)
    eventually(world.children, timeout=30)
    world.remember()
    world.holds()


@fault("F22", "owned fields edited by hand", "taken back")
def edited(world: World) -> None:
    world.apply()
    world.converged()
    edits: dict[str, dict[str, Any]] = {
        "deployment": {"spec": {"progressDeadlineSeconds": 7777}},
        "service": {"spec": {"ports": [{"name": "http", "port": 81}]}},
        "networkpolicy": {"spec": {"egress": [{}]}},
        "poddisruptionbudget": {"spec": {"maxUnavailable": 0}},
        "serviceaccount": {"automountServiceAccountToken": True},
    }
    for kind, patch in edits.items():
        world.kubectl("patch", kind, "catalog", "--type=merge", "-p", json.dumps(patch))
    world.holds()


@fault("F23", "fields of others: a restart annotation, a label, the autoscaler's number", "kept")
def others(world: World) -> None:
    world.apply(replicas={"min": 2, "max": 9})
    world.converged()
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    template = {"spec": {"template": {"metadata": {"annotations": restarted}}}}
    world.kubectl("patch", "deployment", "catalog", "--type=merge", "-p", json.dumps(template))
    world.kubectl("scale", "deployment", "catalog", "--replicas=5")
    world.kubectl("label", "service", "catalog", "team=shop")
    world.holds()
    live = world.get("deployment")["spec"]
    assert live["template"]["metadata"]["annotations"].items() >= restarted.items()
    assert live["replicas"] == 5
    assert world.get("service")["metadata"]["labels"]["team"] == "shop"


@fault("F24", "owner references and labels stripped", "rebuilt; nothing twice, nothing orphaned")
def stripped(world: World) -> None:
    world.apply()
    world.converged()
    for kind in world.children():
        patch = (
            '[{"op":"remove","path":"/metadata/ownerReferences"},{"op":"remove","path":"/metadata/labels"}]'
        )
        world.kubectl("patch", kind.lower(), "catalog", "--type=json", "-p", patch)
    world.holds()


@fault(
    "F25",
    "the selector, which nobody may change, edited on our side",
    "refused by the API server, and said so",
)
def immutable(world: World) -> None:
    theirs = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "catalog", "annotations": {labels.ADOPT: "catalog"}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "old"}},
            "template": {
                "metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "old", "image": "old:1"}]},
            },
        },
    }  # fmt: skip
    world.create(theirs)
    uid = world.get("deployment")["metadata"]["uid"]
    world.apply()
    world.until(lambda: world.reason("Applied") == "Rejected", "Rejected", timeout=45)
    assert "Deployment catalog" in world.condition("Applied")["message"]
    assert world.get("deployment")["metadata"]["uid"] == uid, "never deleted and made anew"
    world.kubectl("delete", "deployment", "catalog")
    world.holds(timeout=60)


@fault("F26", "every name is taken by somebody else's object", "none is touched; Applied=False/NotOwned")
def taken(world: World) -> None:
    theirs: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"minAvailable": 1}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}},
    ]
    for manifest in theirs:
        world.create({**manifest, "metadata": {"name": "catalog"}})
    before = {m["kind"]: world.get(m["kind"].lower())["metadata"]["uid"] for m in theirs}
    versions = {m["kind"]: world.get(m["kind"].lower())["metadata"]["generation"] for m in theirs[2:]}
    world.apply()
    world.until(lambda: world.reason("Applied") == "NotOwned", "NotOwned")
    after = {m["kind"]: world.get(m["kind"].lower())["metadata"]["uid"] for m in theirs}
    assert after == before
    assert {k: world.get(k.lower())["metadata"]["generation"] for k in versions} == versions
    for manifest in theirs:
        world.kubectl("delete", manifest["kind"].lower(), "catalog")
    world.holds(timeout=60)


@fault("F28", "the namespace is deleted", "nothing is created in it; the operator goes on")
def terminating(world: World) -> None:
    other = f"{world.namespace}-b"
    world.cluster.kubectl("create", "namespace", other)
    second = World(world.cluster, world.operator, other, world.folder, proxy=world.proxy)
    second.prepare()
    second.apply()
    second.converged()
    world.cluster.kubectl("delete", "namespace", other, "--timeout=60s")
    world.apply()
    world.holds()


@fault(
    "F29",
    "the service is deleted in the middle of its creation, each propagation policy",
    "nothing is left; with orphan exactly the children, and nobody writes them",
)
def cut_short(world: World) -> None:
    for policy in ("background", "foreground"):
        world.apply(policy)
        world.until(lambda n=policy: world.exists("serviceaccount", n), "it has begun")  # type: ignore[misc]  # mypy cannot type a lambda's default
        # The collector looks for kinds, ours among them, each 30 s; a deletion in the foreground waits for it.
        world.kubectl("delete", "psvc", policy, f"--cascade={policy}", "--timeout=90s")
        world.until(lambda n=policy: not _owned(world, n), "nothing is left", timeout=60)  # type: ignore[misc]  # as above
    world.apply("orphan")
    world.converged("orphan")
    before = _owned(world, "orphan")
    world.kubectl("delete", "psvc", "orphan", "--cascade=orphan", "--timeout=90s")
    world.apply()
    world.holds()
    after = _owned(world, "orphan")
    assert after.keys() == before.keys()
    assert not any(after.values()), "an orphan was taken over"


def _owned(world: World, name: str) -> dict[str, bool]:
    """UIDs of the children of a service, and whether they have an owner."""
    kinds = "deployment,service,serviceaccount,networkpolicy,poddisruptionbudget"
    found = json.loads(world.kubectl("get", kinds, "-l", f"{labels.SERVICE}={name}", "-o", "json"))
    return {i["metadata"]["uid"]: "ownerReferences" in i["metadata"] for i in found["items"]}


@fault("F30", "a quota forbids more pods", "QuotaExceeded names it")
def quota(world: World) -> None:
    world.create({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": "0"}},
    })  # fmt: skip
    world.apply()
    world.until(lambda: world.reason("Available") == "QuotaExceeded", "QuotaExceeded")
    world.holds()


@fault("F31", "Pod Security restricted is enforced", "no pod of ours is refused")
def restricted(world: World) -> None:
    world.cluster.kubectl(
        "label", "namespace", world.namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    world.apply()
    world.holds()

    def made() -> None:
        pods = json.loads(world.kubectl("get", "pods", "-o", "json"))["items"]
        assert len(pods) == 3

    eventually(made, timeout=30)


@fault("F35", "a spec that flips a hundred times in seconds", "ends at the last; writes bounded")
def flips(world: World) -> None:
    world.apply()
    world.converged()
    since = time.monotonic()
    for turn in range(100):
        patch = json.dumps({"spec": {"port": 8000 + turn % 2}})
        world.kubectl("patch", "psvc", "catalog", "--type=merge", "-p", patch)
    world.converged()
    world.holds()
    assert len(world.proxy.writes(world.namespace, since)) < 450


@fault("F37", "a spec as large as the schema allows", "applied like any other")
def huge(world: World) -> None:
    filler = [{"name": f"V{i}", "value": "x" * 100} for i in range(120)]
    db = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    peers = [{"cidr": f"10.{i}.0.0/16"} for i in range(64)]
    world.apply(env=[db, *filler], network={"allowFrom": peers})
    world.holds()


@fault("F39", "a Secret that is not there", "ReferencesReady=False/SecretNotFound; no pod is rolled out")
def absent_secret(world: World) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}]
    world.apply(env=env)
    world.until(lambda: world.reason("ReferencesReady") == "SecretNotFound", "SecretNotFound")
    assert not world.exists("deployment")
    world.kubectl("create", "secret", "generic", "token", f"--from-literal=token={CANARY}")
    world.holds()


@fault("F40", "a Secret rotates, and loses its key", "restart by mark; without the key none")
def rotated(world: World) -> None:
    def mark() -> str:
        notes: dict[str, str] = world.get("deployment")["spec"]["template"]["metadata"]["annotations"]
        return notes[labels.RESTART]

    world.apply()
    world.converged()
    first = mark()
    new = json.dumps({"stringData": {"password": f"{CANARY}-2"}})
    world.kubectl("patch", "secret", "db", "--type=merge", "-p", new)
    world.until(lambda: mark() != first, "another mark", timeout=10)
    second = mark()
    world.kubectl("patch", "secret", "db", "--type=json", "-p", '[{"op":"remove","path":"/data/password"}]')
    world.until(lambda: world.reason("ReferencesReady") == "KeyNotFound", "KeyNotFound")
    assert mark() == second
    world.kubectl("patch", "secret", "db", "--type=merge", "-p", new)
    world.holds()


@fault("F46", "autoscaling on, off and on again", "the number of pods never drops in between")
def hand_over(world: World) -> None:
    counts = []
    for replicas in ({"min": 4}, {"min": 2, "max": 9}, {"min": 4}, {"min": 2, "max": 9}):
        world.apply(replicas=replicas)
        world.converged()
        world.uids.pop("HorizontalPodAutoscaler", None)  # it comes and goes here
        counts.append(world.get("deployment")["spec"]["replicas"])
    assert counts == [4, 4, 4, 4]
    world.holds()


@fault("F49", "the operator is gone and a service is deleted", "the deletion ends; nothing is left")
def uninstalled(world: World) -> None:
    world.apply("orphan")
    world.converged("orphan")
    world.operator.stop()
    world.kubectl("delete", "psvc", "orphan", "--timeout=20s")
    world.until(lambda: not world.exists("deployment", "orphan"), "the collector takes it", timeout=60)
    world.operator.start()
    world.apply()
    world.holds()


@fault(
    "F54",
    "ten services that cannot be applied",
    "an event a reason, then counted",
)
def failing(world: World) -> None:
    for index in range(10):
        env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": f"absent-{index}", "key": "token"}}}]
        world.apply(f"broken-{index}", env=env)
    for index in range(10):
        name = f"broken-{index}"
        world.until(lambda n=name: world.reason("Ready", n) == "SecretNotFound", name)  # type: ignore[misc]  # mypy cannot type a lambda's default
    world.apply()
    world.holds()
    events = json.loads(world.kubectl("get", "events", "-o", "json"))["items"]
    ours = [e for e in events if e["involvedObject"]["name"].startswith("broken-")]
    about = [(e["involvedObject"]["name"], e["reason"]) for e in ours]
    assert len(about) == len(set(about))


@fault("F55", "a LimitRange fills in what the template leaves out", "no ping-pong")
def defaulted(world: World) -> None:
    limits = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "10m"}}
    world.create({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": {"limits": [limits]},
    })  # fmt: skip
    world.create(_mutating_policy(world.namespace))
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": world.namespace}, "spec": {"policyName": world.namespace},
    }  # fmt: skip
    world.create(binding)
    try:
        world.apply()
        world.holds()
        assert world.get("service")["metadata"]["annotations"]["mesh.example/injected"] == "yes"
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            world.cluster.kubectl("delete", kind, world.namespace, "--ignore-not-found")


def _mutating_policy(namespace: str) -> dict[str, Any]:
    """What a mesh or a policy engine does: it writes into objects as they come in."""
    inject = "Object{metadata: Object.metadata{annotations: {'mesh.example/injected': 'yes'}}}"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["services"],
    }
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": where},
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": inject}}],
        },
    }  # fmt: skip
