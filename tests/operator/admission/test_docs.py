"""docs/admission.md shows messages as they are said, and all of the warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from productionservice.admission.advice import advise
from tests.api.test_policies import REFUSED
from tests.operator.admission.test_advice import PASSWORD, SECRET, Namespace, body
from tests.operator.test_availability import WARNED

LINES = (Path(__file__).parents[3] / "docs" / "admission.md").read_text().splitlines()
SETTINGS = {"path": "/etc/app", "configMap": "settings"}
HOSTS = {"hosts": ["catalog.example"]}
HEADER = {"name": "Referrer-Policy", "value": "no-referrer"}
LOOKED_UP: tuple[tuple[dict[str, Any], int | None], ...] = (
    ({"availability": {"zones": "Required"}}, 1),
    ({"mounts": [SETTINGS]}, None),
    ({"env": [PASSWORD]}, None),
    ({"network": {"allowFrom": [{"service": "web"}]}}, None),
    ({"replicas": {"min": 1}}, None),
    ({"expose": {**HOSTS, "gateway": {"namespace": "other", "name": "theirs"}}}, None),
    (
        {"expose": {**HOSTS, "ingress": {"className": "nginx"}, "headers": [HEADER], "timeoutSeconds": 30}},
        None,
    ),
)


def shown(prefix: str) -> list[str]:
    return [line.removeprefix(prefix) for line in LINES if line.startswith(prefix)]


def said() -> set[str]:
    """Every warning that the webhook can give, on the specs that its tests and those of the calculator use."""
    world = Namespace(keys={SECRET: frozenset()})
    lines = {f"{field}: {message}" for _, field, message in WARNED}
    return lines.union(*(advise(body(**spec), world, zones) for spec, zones in LOOKED_UP))


def test_warnings_are_shown_as_they_are_said() -> None:
    assert shown("Warning: ")
    assert [line for line in shown("Warning: ") if line not in said()] == []


def test_every_kind_of_warning_is_shown() -> None:
    fields = {line.partition(": ")[0] for line in said() if line.startswith("spec.")}

    # What the CRD refuses first is there for objects older than its rule, and no reader meets it.
    unmet = {"spec.availability.maxUnavailable"}
    assert fields - {line.partition(": ")[0] for line in shown("Warning: ")} == unmet


@pytest.mark.parametrize("line", shown("refused: "))
def test_refusals_are_shown_as_the_api_server_says_them(line: str) -> None:
    assert [words for _, words in REFUSED.values() if words in line and len(words) > len(line) / 4] != []
