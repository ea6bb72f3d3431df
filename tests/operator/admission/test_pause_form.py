"""The form of a pause that the chart's policy accepts is one that the operator can read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from productionservice.pause import EXAMPLE, read_pause

POLICY = (
    Path(__file__).parents[3] / "charts/productionservice-operator/templates/validatingadmissionpolicy.yaml"
)
(FORM,) = re.findall(r"variables\.text\.matches\('(.*)'\)", POLICY.read_text())
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@given(text=st.from_regex(re.compile(FORM, re.ASCII), fullmatch=True))
def test_whatever_has_the_form_can_be_read(text: str) -> None:
    assume("0001" < text.removeprefix("until=")[:4] < "9999")  # the ends of what a time can be

    pause = read_pause(text, since=None, now=NOW)

    assert pause is not None
    assert pause.fault == ""


def test_the_operators_own_example_has_the_form() -> None:
    assert re.search(FORM, EXAMPLE.partition("paused=")[2])


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T12:00:00Z",
        "until=2026-12-01; by=ann; why=x",
        "until=2026-12-01T12:00:00; by=ann; why=x",
        "until=2026-02-30T12:00:00Z; by=ann; why=x",
        "until=2027-02-29T12:00:00Z; by=ann; why=x",
        "until=2026-12-01T24:00:00Z; by=ann; why=x",
        "until=2026-12-01T12:00:00Z; by=; why=x",
        "until=2026-12-01T12:00:00Z; why=x; by=ann",
        "until=2026-12-01T12:00:00Z; by=ann; why=x; until=2099-12-01T12:00:00Z",
    ],
)
def test_what_could_be_read_two_ways_does_not_have_it(text: str) -> None:
    assert not re.search(FORM, text)
