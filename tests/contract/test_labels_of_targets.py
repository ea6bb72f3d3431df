"""No metric has a label that Prometheus gives each target itself: it would be renamed, `namespace` to
`exported_namespace`. On the cluster e2e/test_addons_monitoring.py shows it for all that a service exports.
"""

from __future__ import annotations

import ast
from pathlib import Path

from e2e.addons.prometheus import documented_labels

ROOT = Path(__file__).parents[2]
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "DurationHistogram"}


def labels_of(source: str) -> set[str]:
    """Labels of the metrics that a module makes: the third argument, or `labelnames`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            named = [word.value for word in node.keywords if word.arg == "labelnames"]
            for part in ast.walk(ast.Tuple([*node.args[2:3], *named], ast.Load())):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.add(part.value)
    return found


def test_labels_are_found_in_a_module() -> None:
    assert labels_of('Counter("a", "b", ("c", "d"), registry=r)\nGauge("e", "f", labelnames=["g"])') == {
        "c", "d", "g",
    }  # fmt: skip


def test_no_metric_has_a_label_of_its_target() -> None:
    files = [*(ROOT / "service").rglob("*.py"), *(ROOT / "operator").rglob("*.py")]
    labels = {label for file in files for label in labels_of(file.read_text())}

    assert {"cache", "dependency", "controller"} <= labels
    assert not labels & documented_labels()
