"""A body means the same to every parser that may read it."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from productionservice.engine.wire import encode

_SPECIAL = st.sampled_from("\t\n\x7f\x80\x85\x9f\xa0\u2028\u2029\ufeff\ufffe\uffff\U0001f600 \"'\\:#-")
TEXT = st.lists(_SPECIAL | st.characters(exclude_categories=["Cs"])).map("".join)


@given(st.dictionaries(TEXT, TEXT))
def test_a_yaml_parser_reads_what_a_json_parser_reads(body: dict[str, str]) -> None:
    raw = encode(body)

    assert json.loads(raw) == body
    assert yaml.safe_load(raw) == body


def test_text_that_needs_no_escape_is_sent_as_it_is() -> None:
    assert encode({"name": "Käse 🧀"}) == '{"name":"Käse 🧀"}'.encode()
