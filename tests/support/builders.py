"""Short ways to the objects that most tests begin with."""

from __future__ import annotations

from typing import Any

from productionservice.api import ProductionService, parse
from productionservice.children import BuildContext, Manifest, build_children
from productionservice.effective import compute_effective
from productionservice.live import Live
from productionservice.plan import Observed, Plan, Ref, make_plan, ref_of

UID = "6f1f4e2a-0f0c-4f3e-9d59-3f1f0c2b7a11"
IMAGE = {"repository": "registry.example/shop/catalog", "tag": "v1.4.2"}


def make_service(
    name: str = "catalog", namespace: str = "shop", uid: str = UID, **spec: Any
) -> ProductionService:
    """A ProductionService; `spec` in the JSON form, with an image unless one is given."""
    metadata = {"name": name, "namespace": namespace, "uid": uid, "generation": 1}
    return parse({"metadata": metadata, "spec": {"image": IMAGE, **spec}})


def children(service: ProductionService) -> dict[str, Manifest]:
    """The wanted children by kind."""
    return {manifest["kind"]: manifest for manifest in rendered(service)}


def rendered(service: ProductionService, context: BuildContext | None = None) -> tuple[Manifest, ...]:
    """The wanted children in apply order."""
    return build_children(service, compute_effective(service.spec), context or BuildContext())


def container(service: ProductionService) -> dict[str, Any]:
    """The container of the pod template."""
    found: dict[str, Any] = children(service)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return found


def observe(*manifests: Manifest, synced: bool = True, owner_uid: str = UID) -> Observed:
    """A cluster that holds exactly these objects."""
    return Observed(owner_uid, {ref_of(m): Live.of(m["kind"], m) for m in manifests}, synced)


def plan_for(service: ProductionService, observed: Observed) -> Plan:
    """The plan of one pass."""
    return make_plan(service, compute_effective(service.spec), rendered(service), observed)


def ref(kind: str, name: str = "catalog") -> Ref:
    """Ref of a child of the default service."""
    return Ref(kind, name)
