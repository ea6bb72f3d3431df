"""Gateway API: the kinds that routes are made of, of the standard channel. What implements them is another add-on."""

from __future__ import annotations

from pathlib import Path

from e2e import crds
from e2e.addons.addon import Addon, Json
from e2e.addons.sources import documents
from e2e.cluster.providers import Cluster
from e2e.tools.pins import pinned_in

_GROUP = "gateway.networking.k8s.io"
_VERSION = pinned_in(Path(crds.__file__).parent / "go.mod", "sigs.k8s.io/gateway-api")


def _manifests() -> list[Json]:
    """The project's own: CRDs, and the admission policy that refuses to replace them by older ones."""
    return [item for file in crds.crd_files("gateway-api") for item in documents(file.read_text())]


def _ready(cluster: Cluster) -> None:
    """Discovery, which clients go by, has the kinds."""
    served = set(cluster.kubectl("api-resources", f"--api-group={_GROUP}", "-o", "name").split())
    missing = {f"{plural}.{_GROUP}" for plural in ("gatewayclasses", "gateways", "httproutes")} - served
    assert not missing, f"not served: {', '.join(sorted(missing))}"


ADDON = Addon(
    name="gateway-api",
    summary="the kinds Gateway, HTTPRoute and their like",
    version=_VERSION,
    images=lambda: (),
    manifests=_manifests,
    ready=_ready,
)
