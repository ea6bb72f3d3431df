"""Request ids and trace context: what is accepted, what is replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodkit import contract, correlation

TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"b7ad6b7169203331"


@pytest.mark.parametrize("given_id", [b"a", b"A.b-c_9", b"x" * 64])
def test_a_well_formed_id_is_kept(given_id: bytes) -> None:
    assert correlation.make_context(given_id, None).request_id == given_id.decode()


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"x" * 65,
        b"a b",
        b"a\n",
        b"a\r\nX-Evil: 1",
        b'","level":"error',
        b"\xff\xfe",
        "ü".encode(),
        b"../../etc",
        b"a;b",
    ],
)
def test_any_other_id_is_replaced(hostile: bytes) -> None:
    replaced = correlation.make_context(hostile, None).request_id
    assert re.fullmatch(r"[0-9a-f]{32}", replaced)


@given(st.binary(max_size=80))
def test_what_leaves_always_has_the_shape_of_the_contract(anything: bytes) -> None:
    context = correlation.make_context(anything, anything)
    assert re.fullmatch(contract.REQUEST_ID_PATTERN, context.request_id)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", context.traceparent)


def test_new_ids_sort_by_time() -> None:
    ids = [correlation.new_id() for _ in range(5)]
    assert [each[:12] for each in ids] == sorted(each[:12] for each in ids)
    assert len(set(ids)) == 5


def test_a_valid_traceparent_is_continued_with_a_span_of_our_own() -> None:
    context = correlation.make_context(None, b"00-" + TRACE + b"-" + PARENT + b"-01")
    assert (context.trace_id, context.trace_flags) == (TRACE.decode(), "01")
    assert context.span_id != PARENT.decode()
    assert context.traceparent == f"00-{TRACE.decode()}-{context.span_id}-01"


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"00-" + TRACE + b"-" + PARENT + b"-00", True),
        (b"01-" + TRACE + b"-" + PARENT + b"-01-future", True),
        (b"00-" + TRACE + b"-" + PARENT + b"-01-extra", False),
        (b"ff-" + TRACE + b"-" + PARENT + b"-01", False),
        (b"00-" + b"0" * 32 + b"-" + PARENT + b"-01", False),
        (b"00-" + TRACE + b"-" + b"0" * 16 + b"-01", False),
        (b"00-" + TRACE.upper() + b"-" + PARENT + b"-01", False),
        (b"01-" + TRACE + b"-" + PARENT + b"-01-" + b"x" * 300, False),
        (b"", False),
    ],
)
def test_traceparent_is_read_as_w3c_says(value: bytes, *, valid: bool) -> None:
    assert (correlation.parse_traceparent(value) is not None) is valid


def test_nothing_to_propagate_outside_of_a_request() -> None:
    assert correlation.propagation_headers() == {}
