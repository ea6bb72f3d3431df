"""Bad specs are refused at admission, and the answer names the field. One fault a file in rejects/."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from e2e.services import Services
from productionservice.api.crdgen import custom_resource_definition

pytestmark = pytest.mark.node

FOLDER = Path(__file__).parent
REJECTS = sorted((FOLDER / "rejects").glob("*.yaml"))
ACCEPTS = [*sorted((FOLDER / "accepts").glob("*.yaml")), *sorted((FOLDER.parent / "examples").glob("*.yaml"))]


def refusal(shop: Services, path: Path) -> str:
    """What the API server answers. Fails when it accepts."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        shop.kubectl("create", "--dry-run=server", "-f", str(path), stderr=subprocess.STDOUT)
    return str(caught.value.output)


@pytest.mark.parametrize("path", REJECTS, ids=lambda path: path.stem)
def test_is_refused_with_the_field_by_name(shop: Services, path: Path) -> None:
    expected = [
        line.removeprefix("# expect: ") for line in path.read_text().splitlines() if "# expect: " in line
    ]

    answer = refusal(shop, path)

    assert expected, f"{path.name} does not say what to expect"
    for fragment in expected:
        assert fragment in answer


@pytest.mark.parametrize("path", ACCEPTS, ids=lambda path: path.stem)
def test_is_accepted(shop: Services, path: Path) -> None:
    assert "created" in shop.kubectl("create", "--dry-run=server", "-f", str(path))


def test_every_rule_refuses_something(shop: Services) -> None:
    answers = "\n".join(refusal(shop, path) for path in REJECTS)

    silent = [rule["rule"] for rule in _rules() if not re.search(_pattern(rule), answers)]

    assert silent == [], "rules without a file in rejects/"


def _rules() -> list[dict[str, str]]:
    """Every rule of the CRD."""
    found: list[dict[str, str]] = []
    pending = [custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]]
    while pending:
        schema = pending.pop()
        found += schema.get("x-kubernetes-validations", [])
        pending += [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return found


def _pattern(rule: dict[str, str]) -> str:
    """What the message looks like once its placeholders are filled."""
    if "messageExpression" not in rule:
        return re.escape(rule["message"])
    template = rule["messageExpression"].split("'")[1]
    return re.sub("%[ds]", ".+?", re.escape(template).replace("\\%", "%"))
