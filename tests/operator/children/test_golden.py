"""What each kind of spec comes to, as text: `golden/<case>/input.yaml` → `expected.yaml`.

`--update-golden` rewrites the expected side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from productionservice.api import parse
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


ONLY_A_BOUND = "shutdown.maxSeconds"
"""The one field that is in no object: it refuses what is longer than somebody is ready to wait."""
LEAVES = [*document_leaves(load("full")["spec"])]


def full_for(path: tuple[str | int, ...]) -> dict[str, Any]:
    """The full case, without what would refuse another value of this field, and by one way only."""
    body = load("full")
    if pattern(path) == "adminPort":  # metrics.port has to be one of the ports that the container listens on
        del body["spec"]["observability"]["metrics"]["port"]
    del body["spec"]["expose"]["gateway" if pattern(path) == "expose.ingress.className" else "ingress"]
    return body


def with_another(path: tuple[str | int, ...], body: dict[str, Any]) -> dict[str, Any]:
    """The same with another value of one field."""
    return {**body, "spec": replaced(body["spec"], path, other_value(path, get(body["spec"], path)))}


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


@pytest.mark.parametrize("path", [path for path in LEAVES if pattern(path) != ONLY_A_BOUND], ids=pattern)
def test_every_field_of_the_spec_changes_an_object(path: tuple[str | int, ...]) -> None:
    # A refusal or a warning is not enough: the field would be read, and do nothing.
    body = full_for(path)

    assert render(with_another(path, body)) != render(body)


def test_the_bound_refuses_and_names_itself() -> None:
    (path,) = (path for path in LEAVES if pattern(path) == ONLY_A_BOUND)

    with pytest.raises(InvalidSpec, match="more than maxSeconds 11"):
        render(with_another(path, load("full")))


def test_the_full_case_has_every_field() -> None:
    # Else the test above would not look at all of them.
    assert schema_leaves() == {pattern(path) for path in document_leaves(load("full")["spec"])}


def test_rendered_offline_there_is_no_owner() -> None:
    body = load("minimal")
    del body["metadata"]["uid"]

    assert all("ownerReferences" not in m["metadata"] for m in rendered(parse(body)))
