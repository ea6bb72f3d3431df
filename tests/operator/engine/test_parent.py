"""What is kept of a service, whatever is stored: what was let in before the CRD had its rules must do no harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productionservice.engine.parent import Parent, hosts_of

METADATA = {"name": "catalog", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expose", "hosts"),
    [
        (None, ()),
        ({}, ()),
        ({"hosts": ["b.example.com", "a.example.com"]}, ("b.example.com", "a.example.com")),
        ({"hosts": ["a.example.com", 1, None]}, ("a.example.com",)),
        ({"hosts": "a.example.com"}, ()),
        (["a.example.com"], ()),
    ],
)
def test_only_texts_in_a_list_are_hosts(expose: Any, hosts: tuple[str, ...]) -> None:
    assert hosts_of({"spec": {"expose": expose}}) == hosts


@given(
    st.one_of(
        json, st.fixed_dictionaries({}, optional={"expose": json, "network": json}),
        st.fixed_dictionaries({"expose": st.fixed_dictionaries({"hosts": json}),
                               "network": st.fixed_dictionaries({"allowFrom": json})}),
    )
)  # fmt: skip
def test_any_spec_can_be_kept(spec: Any) -> None:
    parent = Parent.of({"metadata": METADATA, "spec": spec})

    assert parent.body["spec"] == spec
