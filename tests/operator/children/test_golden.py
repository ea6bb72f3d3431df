"""What each kind of spec comes to, as text: `golden/<case>/input.yaml` → `expected.yaml`.

`--update-golden` rewrites the expected side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from productionservice.api import parse
from productionservice.availability import problems
from productionservice.effective import compute_effective
from productionservice.errors import InvalidSpec
from tests.support.builders import UID, observe, plan_for, rendered
from tests.support.leaves import document_leaves, get, other_value, pattern, replaced, schema_leaves

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir())


def load(case: str) -> dict[str, Any]:
    """The input of a case as the API server would send it."""
    body: dict[str, Any] = yaml.safe_load((GOLDEN / case / "input.yaml").read_text())
    body["metadata"].update(uid=UID, generation=1)
    return body


def render(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object of the first pass, in apply order."""
    changes = plan_for(parse(body), observe()).changes
    return [change.manifest for change in changes if change.manifest is not None]


def outcome(body: dict[str, Any]) -> Any:
    """All that a user can see of a spec: the objects and the warnings, or the refusal."""
    try:
        service = parse(body)
        return render(body), problems(service.spec, compute_effective(service.spec))
    except InvalidSpec as error:
        return error.problems


@pytest.mark.parametrize("case", CASES)
def test_rendering_is_as_recorded(case: str, update_golden: bool) -> None:
    expected = GOLDEN / case / "expected.yaml"
    text = yaml.safe_dump_all(render(load(case)), sort_keys=False, width=110, allow_unicode=True)
    if update_golden:
        expected.write_text(text)

    assert text == expected.read_text()


def test_every_field_of_the_spec_appears_in_a_case() -> None:
    shown = {pattern(path) for case in CASES for path in document_leaves(load(case)["spec"])}

    assert schema_leaves() - shown == set()


@pytest.mark.parametrize("path", [*document_leaves(load("full")["spec"])], ids=pattern)
def test_every_field_of_the_spec_changes_something(path: tuple[str | int, ...]) -> None:
    body = load("full")
    changed = {**body, "spec": replaced(body["spec"], path, other_value(path, get(body["spec"], path)))}

    assert outcome(changed) != outcome(body)


def test_the_full_case_has_every_field() -> None:
    # Else the test above would not look at all of them.
    assert schema_leaves() == {pattern(path) for path in document_leaves(load("full")["spec"])}


def test_rendered_offline_there_is_no_owner() -> None:
    body = load("minimal")
    del body["metadata"]["uid"]

    assert all("ownerReferences" not in m["metadata"] for m in rendered(parse(body)))
