"""ProductionServices in one namespace of a real cluster, as scenarios speak of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import SERVICE_IMAGE, TAG

Json = dict[str, Any]


@contextmanager
def new_namespace(cluster: Cluster) -> Iterator[Services]:
    """A namespace for a scenario, with Pod Security restricted enforced."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Services(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Services:
    """One namespace. Every method talks to the API server through kubectl, as a user would."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Output of kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, name: str = "catalog", **spec: Any) -> None:
        """Apply a ProductionService of the catalogue; `spec` overrides whole fields of a small default."""
        base: Json = {
            "environment": "development",
            "image": {"repository": SERVICE_IMAGE, "tag": TAG},
            "shutdown": {"propagationSeconds": 2, "drainSeconds": 10},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        }
        self.apply_object(
            {
                "apiVersion": "productionservice.io/v1alpha1",
                "kind": "ProductionService",
                "metadata": {"name": name},
                "spec": {**base, **spec},
            }
        )

    def apply_object(self, manifest: Mapping[str, Any]) -> None:
        """Apply any object."""
        self.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def patch(self, spec: Mapping[str, Any], name: str = "catalog") -> None:
        """Merge-patch the spec."""
        self.kubectl("patch", "psvc", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def get(self, kind: str, name: str = "catalog") -> Json:
        """One object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def find(self, kind: str, selector: str = "") -> list[Json]:
        """All objects of a kind, or several kinds joined by commas."""
        arguments = ["get", kind, "-o", "json", *(["-l", selector] if selector else [])]
        return list(json.loads(self.kubectl(*arguments))["items"])

    def exists(self, kind: str, name: str = "catalog") -> bool:
        """Whether the object is there."""
        return bool(self.kubectl("get", kind, name, "-o", "name", "--ignore-not-found").strip())

    def pods(self, name: str = "catalog") -> list[Json]:
        """Serving pods that are not leaving."""
        found = self.find("pods", f"productionservice.io/service={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def condition(self, type_: str = "Ready", name: str = "catalog") -> Json:
        """A condition about the newest generation; empty while the status is about an older one."""
        service = self.get("psvc", name)
        status = service.get("status", {})
        if status.get("observedGeneration") != service["metadata"]["generation"]:
            return {}
        return next((c for c in status["conditions"] if c["type"] == type_), {})

    def wait_ready(self, name: str = "catalog", within: float = 120) -> Json:
        """Wait for Ready=True on the newest generation and return the object."""

        def ready() -> Json:
            condition = self.condition("Ready", name)
            assert condition.get("status") == "True", condition
            return self.get("psvc", name)

        return eventually(ready, timeout=within)

    def wait_reason(
        self, reason: str, *, type_: str = "Ready", name: str = "catalog", within: float = 30
    ) -> Json:
        """Wait until a condition has this reason; 30 s is what on-call is promised."""

        def has_reason() -> Json:
            condition = self.condition(type_, name)
            assert condition.get("reason") == reason, condition
            return condition

        return eventually(has_reason, timeout=within)
