"""A namespace, an operator behind the proxy, and what has to hold after every fault."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.faults.operator import FaultyOperator
from e2e.faults.proxy import FaultProxy
from productionservice.api import parse
from productionservice.children import CHILDREN, BuildContext, build_children
from productionservice.diff import drift
from productionservice.effective import compute_effective
from tests.api.team import Team

CHECKS = 2
"""Goes up when `World.holds` asks for more: an outcome from before is told as one."""
QUIET_SECONDS = 2.0
"""Without a write for this long, with a resync each 10 s and a repair in between, the operator is at rest."""
REST_SECONDS = 30.0
"""By then it has to be at rest."""
MOST_REQUESTS = 1500
"""Of one scenario. A retry without back-off makes thousands within seconds."""
CANARY = "canary-4f1d9c"
"""Value of a Secret that nothing may ever show."""
OPTIONAL = frozenset(kind.kind for kind, _ in CHILDREN if kind.optional)
_OLD = {"app.kubernetes.io/name": "catalog"}
"""What a hand-made object of the same application may well be labelled with."""
_BYSTANDERS: tuple[dict[str, Any], ...] = tuple(
    {"apiVersion": version, "kind": kind, "metadata": {"name": "bystander", "labels": _OLD}, **body}
    for version, kind, body in (
        ("v1", "ConfigMap", {"data": {"a": "b"}}),
        ("v1", "Service", {"spec": {"ports": [{"port": 1}]}}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {"matchLabels": _OLD}}}),
        ("apps/v1", "Deployment", {
            "spec": {
                "replicas": 0, "selector": {"matchLabels": _OLD},
                "template": {
                    "metadata": {"labels": _OLD}, "spec": {"containers": [{"name": "old", "image": "old:1"}]},
                },
            },
        }),
    )
)  # fmt: skip


@dataclass
class World(Team):
    """What a scenario works with. `Team` has the words for the namespace."""

    operator: FaultyOperator
    proxy: FaultProxy = field(kw_only=True)
    bystanders: dict[str, dict[str, Any]] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    remembers: bool = False

    def prepare(self) -> None:
        """Objects of somebody else, of kinds that the operator writes too, and a Secret that the service reads."""
        self.kubectl("create", "secret", "generic", "db", f"--from-literal=password={CANARY}")
        for manifest in _BYSTANDERS:
            self.create(manifest)
        self.bystanders = {m["kind"]: self._foreign(m["kind"]) for m in _BYSTANDERS}

    def _foreign(self, kind: str) -> dict[str, Any]:
        """Somebody else's object without what the cluster's own controllers write into it."""
        live = self.get(kind.lower(), "bystander")
        metadata = live["metadata"]
        for key in ("resourceVersion", "generation"):
            metadata.pop(key, None)
        metadata.get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        managers = metadata.pop("managedFields")
        theirs = [m for m in managers if m["manager"] != "kube-controller-manager"]
        return {"metadata": metadata, "managers": theirs, "spec": live.get("spec"), "data": live.get("data")}

    def apply(self, name: str = "catalog", **spec: Any) -> None:
        """A service that reads the Secret."""
        env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
        super().apply(name, **{"env": env, **spec})

    def children(self, name: str = "catalog") -> dict[str, dict[str, Any]]:
        """What is there of what the spec comes to, by kind."""
        found = {}
        for manifest in self._rendered(name):
            kind = manifest["kind"]
            if kind not in OPTIONAL:
                found[kind] = self.get(kind.lower(), manifest["metadata"]["name"])
        return found

    def converged(self, name: str = "catalog", *, timeout: float = 90) -> None:
        """As of a team; and from the first time on every child has to stay the very object that it is."""
        super().converged(name, timeout=timeout)
        if name == "catalog" and not self.remembers:
            self.remember()

    def remember(self) -> None:
        """From here on every child of `catalog` has to stay the very object that it is."""
        self.remembers = True
        self.uids = {kind: live["metadata"]["uid"] for kind, live in self.children().items()}

    def forget(self, *kinds: str) -> None:
        """These are deleted in the scenario, so that they come back as other objects."""
        for kind in kinds:
            del self.uids[kind]

    def holds(self, name: str = "catalog", *, timeout: float = 60) -> None:
        """All invariants, after the fault is over. Raises AssertionError with what does not hold."""
        self.proxy.clear()
        self.operator.again()
        self.converged(name, timeout=timeout)
        eventually(lambda: self.as_rendered(name), timeout=30)  # I1
        self.as_observed(name)
        self.unharmed()
        self._at_rest()
        live = {kind: child["metadata"]["uid"] for kind, child in self.children().items()}
        changed = [kind for kind, uid in self.uids.items() if live.get(kind) != uid]
        assert not changed, f"I2: UIDs changed: {changed}"
        self._no_secret_shown()
        assert len(self.proxy.seen) < MOST_REQUESTS, f"I7: {len(self.proxy.seen)} requests"

    def unharmed(self) -> None:
        """I4: nobody else's object was written."""
        for kind, before in self.bystanders.items():
            assert self._foreign(kind) == before, f"I4: somebody else's {kind} was written"

    def as_observed(self, name: str = "catalog") -> None:
        """I3: each condition is about the newest generation."""
        service = self.get("psvc", name)
        generation = service["metadata"]["generation"]
        for condition in service["status"]["conditions"]:
            assert condition["observedGeneration"] == generation, f"I3: {condition}"

    def until(self, check: Callable[[], bool], what: str, *, timeout: float = 30) -> None:
        """Wait until something is so."""

        def so() -> None:
            assert check(), what

        eventually(so, timeout=timeout)

    def undisturbed(self) -> None:
        """Wait until nothing of a scenario before this one is still being deleted."""
        leaving = ("get", "namespaces", "--field-selector=status.phase=Terminating", "-o", "name")
        self.until(lambda: not self.kubectl(*leaving).strip(), "no namespace is leaving", timeout=60)

    def reason(self, condition: str, name: str = "catalog") -> str:
        """Reason of a condition, empty while there is none."""
        with contextlib.suppress(LookupError, StopIteration):
            return str(self.condition(condition, name)["reason"])
        return ""

    def _rendered(self, name: str) -> tuple[dict[str, Any], ...]:
        service = parse(self.get("psvc", name))
        return build_children(service, compute_effective(service.spec), BuildContext(restart_mark=""))

    def as_rendered(self, name: str) -> None:
        """I1: every child contains what the spec comes to, and there is nothing else of ours."""
        live = self.children(name)
        for manifest in self._rendered(name):
            if manifest["kind"] in live:
                del manifest["metadata"]["annotations"]  # its digest knows the Secret's mark, which we do not
                assert drift(manifest, live[manifest["kind"]]) == [], "I1"
        kinds = ",".join(sorted({*live, "HorizontalPodAutoscaler"})).lower()
        owned = json.loads(
            self.kubectl("get", kinds, "-l", f"productionservice.io/service={name}", "-o", "json")
        )
        assert len(owned["items"]) == len(live), "I1: there is more than the spec comes to"

    def _at_rest(self) -> None:
        """I5: no write but the one that a repair takes."""

        def quiet() -> None:
            writes = [s.at for s in self.proxy.seen if s.call.writes and s.call.namespace == self.namespace]
            assert time.monotonic() - max(writes, default=0.0) > QUIET_SECONDS, "I5: it goes on writing"

        eventually(quiet, timeout=REST_SECONDS)
        since = time.monotonic()
        self.repair()
        eventually(quiet, timeout=REST_SECONDS)
        writes = self.proxy.writes(self.namespace, since)
        assert writes == ["apply services/catalog"], f"I5: {writes}"

    def _no_secret_shown(self) -> None:
        """I6."""
        shown = self.operator.log.read_text() + self.kubectl("get", "psvc,events,deployments", "-o", "json")
        assert CANARY not in shown, "I6: a Secret's value was shown"


@contextlib.contextmanager
def world(cluster: Cluster, settings: dict[str, str]) -> Iterator[World]:
    """A new namespace and a new operator on a running cluster. `settings` are added to the operator's."""
    with tempfile.TemporaryDirectory(prefix="fault-") as name:
        folder = Path(name)
        with FaultProxy(cluster.kubeconfig_path, folder) as proxy:
            operator = FaultyOperator(cluster, f"system-{uuid.uuid4().hex[:8]}", folder, proxy=proxy)
            namespace = f"fault-{uuid.uuid4().hex[:8]}"
            cluster.kubectl("create", "namespace", namespace)
            try:
                operator.settings |= settings
                operator.install()
                made = World(cluster, operator, namespace, folder, proxy=proxy)
                made.prepare()
                operator.start()
                yield made
            finally:
                operator.kill()
                cluster.kubectl(
                    "delete", "namespace", namespace, operator.home, "--wait=false", "--ignore-not-found"
                )
