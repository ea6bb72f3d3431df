"""The chart as Helm renders it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from e2e.helm import helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "productionservice-operator"
NAME, NAMESPACE = "productionservice-operator", "productionservice-system"

Json = dict[str, Any]


def render(values: Json | None = None, *, release: str = NAME) -> list[Json]:
    """The manifests that an installation with `values` would apply."""
    text = helm("template", release, str(CHART), "--namespace", NAMESPACE, values=values or {})
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(manifests: list[Json], kind: str) -> list[Json]:
    """Those of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Json], kind: str) -> Json:
    """The one of its kind."""
    (found,) = of_kind(manifests, kind)
    return found


def pod_spec(manifests: list[Json]) -> Json:
    """Spec of the operator's pods."""
    spec: Json = only(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def environment(manifests: list[Json]) -> dict[str, str]:
    """Environment variables of the operator's container."""
    return {entry["name"]: entry["value"] for entry in pod_spec(manifests)["containers"][0]["env"]}
