"""docs/operating.md has every metric that the operator exports, in the words of the code."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from productionservice import metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"


def exported() -> dict[str, Metric]:
    """Our own metrics by name; a module variable may hold one series of a metric instead of the whole."""
    own = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    families = [family for metric in own for family in metric.describe()]
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in families}


def test_the_document_has_every_metric_in_the_words_of_the_code() -> None:
    rows = [
        line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `") and line.count("|") == 4
    ]
    documented = {row.split("`")[1]: row for row in rows if not row.startswith("| `/")}

    assert documented == {
        name: f"| `{name}` | {family.type} | {family.documentation} |"
        for name, family in sorted(exported().items())
    }
