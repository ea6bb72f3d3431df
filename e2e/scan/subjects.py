"""What is scanned: each golden rendering as the objects that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "tests" / "operator" / "golden"
CHART = ROOT / "tests" / "chart" / "golden"

_AUTOSCALER = "HorizontalPodAutoscaler"

Json = dict[str, Any]


def subjects() -> dict[str, list[Json]]:
    """Objects by the name of their rendering, such as `service-minimal` and `chart-default`."""
    services = {f"service-{path.parent.name}": path for path in sorted(SERVICES.glob("*/expected.yaml"))}
    charts = {f"chart-{path.stem}": path for path in sorted(CHART.glob("*.yaml"))}
    return {name: merged(_documents(path)) for name, path in (services | charts).items()}


def merged(documents: list[Json]) -> list[Json]:
    """One object where several requests apply parts of the same.

    The operator applies `spec.replicas` under a field manager of its own. Seen alone, that part is a Deployment
    without a security context, which no API server ever holds. Where there is an autoscaler the number is what a new
    Deployment begins with, and from then on the autoscaler's (ADR 0004): it is left out, as from what is applied later.
    """
    objects: dict[tuple[str, ...], Json] = {}
    targets = [each["spec"]["scaleTargetRef"] for each in documents if each["kind"] == _AUTOSCALER]
    scaled = {(target["kind"], target["name"]) for target in targets}
    for document in documents:
        metadata = document["metadata"]
        key = (document["apiVersion"], document["kind"], metadata.get("namespace", ""), metadata["name"])
        only_replicas = document.get("spec", {}).keys() == {"replicas"}
        if not (only_replicas and (document["kind"], metadata["name"]) in scaled):
            objects[key] = _overlaid(objects.get(key, {}), document)
    return list(objects.values())


def _documents(path: Path) -> list[Json]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _overlaid(below: Json, above: Json) -> Json:
    both = {
        key: _overlaid(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}
