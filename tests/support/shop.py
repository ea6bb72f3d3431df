"""A namespace on a real API server, and what the tests do in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.children import Manifest
from productionservice.plan import Plan
from tests.support.builders import make_service


class Cluster(Protocol):
    """What these tests need of a cluster."""

    def kubectl(self, *args: str) -> str:
        """Standard output of kubectl; raises when it fails."""
        ...


def refusal(call: Callable[[], object]) -> str:
    """What the API server said when it refused, empty when it did not."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which class it is depends on what runs kubectl
        return f"{error} {getattr(error, 'stderr', '')}"
    return ""


@dataclass(frozen=True)
class Shop:
    """A namespace on the real API server that enforces Pod Security *restricted*."""

    cluster: Cluster
    name: str
    folder: Path
    number: Iterator[int]

    def apply(self, plan: Plan) -> None:
        """Do what a plan says, as the operator does: forced, by the change's field manager."""
        for manager in (labels.FIELD_MANAGER, labels.REPLICAS_MANAGER):
            manifests = [c.manifest for c in plan.changes if c.manifest and c.manager == manager]
            if manifests:
                # kubectl would miss the template beside the number of pods; the API server knows it.
                flags = (
                    "--server-side",
                    "--force-conflicts",
                    "--validate=false",
                    f"--field-manager={manager}",
                )
                self.cluster.kubectl("apply", *flags, "-f", self.write(manifests))

    def live(self, manifests: Sequence[Manifest]) -> list[Manifest]:
        """The objects as the API server has them, in the same order."""
        answer = json.loads(
            self.cluster.kubectl("get", "-o", "json", "--show-managed-fields", "-f", self.write(manifests))
        )
        found: list[Manifest] = answer.get("items", [answer])
        return found

    def dry_run(self, manifests: Sequence[Manifest]) -> None:
        """Ask the API server and its admission whether these may be created; raises when one may not."""
        self.cluster.kubectl("create", "--dry-run=server", "-f", self.write(manifests))

    def service(self, spec: dict[str, Any]) -> ProductionService:
        """A ProductionService of a name that was not used before."""
        return self.again(f"service-{next(self.number)}", **spec)

    def again(self, name: str, **spec: Any) -> ProductionService:
        """A ProductionService that exists on paper only. Its children name no owner, or the garbage collector
        would delete them as soon as it knows the owner's kind.
        """
        return make_service(name=name, namespace=self.name, uid="", **spec)

    def write(self, manifests: Sequence[Manifest]) -> str:
        """A file of these manifests for `kubectl -f`."""
        path = self.folder / f"{uuid.uuid4().hex}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))
        return str(path)
