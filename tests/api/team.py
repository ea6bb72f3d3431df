"""A team's namespace on a real API server, as the tests of the operator at work see it."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.audit import AuditLog
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from tests.api.operator_process import OperatorProcess


@dataclass
class Team:
    """A namespace with a ProductionService `catalog` in it, and the operator that looks after it."""

    cluster: Cluster
    operator: OperatorProcess
    namespace: str
    folder: Path

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def get(self, kind: str, name: str = "catalog") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.kubectl("get", kind, name, "-o", "json", "--show-managed-fields")
        )
        return found

    def exists(self, kind: str, name: str = "catalog") -> bool:
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip())

    def create(self, manifest: dict[str, Any], *flags: str) -> None:
        path = self.folder / f"{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(manifest))
        self.kubectl("apply", *flags, "-f", str(path))

    def apply(self, name: str = "catalog", **spec: Any) -> None:
        image = {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}
        self.create({
            "apiVersion": "productionservice.io/v1alpha1", "kind": "ProductionService", "metadata": {"name": name},
            "spec": {"image": image, **spec},
        })  # fmt: skip

    def condition(self, kind: str, name: str = "catalog") -> dict[str, Any]:
        conditions = self.get("psvc", name)["status"]["conditions"]
        return next(c for c in conditions if c["type"] == kind)

    def converged(self, name: str = "catalog", *, timeout: float = 90) -> None:
        """Wait until the status is about the newest spec, and everything is applied.

        What only somebody's edit could mend is looked at again after 30 s, and a young cluster's collector begins as
        late: longer than both.
        """

        def check() -> None:
            service = self.get("psvc", name)
            assert service["status"]["observedGeneration"] == service["metadata"]["generation"]
            applied = self.condition("Applied", name)
            assert applied["status"] == "True", applied

        eventually(check, timeout=timeout)

    def a_second_old(self, name: str = "catalog") -> None:
        """Wait until what is created from now on is younger: an API server keeps whole seconds, a tie goes by name."""
        created = self.get("psvc", name)["metadata"]["creationTimestamp"]

        def check() -> None:
            assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > created

        eventually(check, timeout=5)

    def settled(self) -> None:
        """Wait until the controllers have made all pods, and the status has said the last about them.

        A marker shows that the operator is past everything: a drift made last is repaired last.
        """

        def check() -> None:
            deployment = self.get("deployment")
            assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
            assert deployment["status"]["replicas"] == deployment["spec"]["replicas"]
            assert self.get("psvc")["status"]["replicas"]["updated"] == deployment["spec"]["replicas"]
            assert "currentHealthy" in self.get("poddisruptionbudget")["status"]

        eventually(check, timeout=30)
        self.repair()

    def repair(self) -> None:
        """Break a child by hand and wait until it is whole again."""
        self.kubectl(
            "patch", "service", "catalog", "--type=merge", "-p", '{"spec":{"selector":{"broken":"yes"}}}'
        )

        def check() -> None:
            assert self.get("service")["spec"]["selector"] == labels.selector_labels("catalog")

        eventually(check, timeout=30)

    def writes(self, log: AuditLog) -> list[str]:
        return log.writes(self.operator.user, self.namespace)
