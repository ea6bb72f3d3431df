"""What holds for the computed numbers, the names and the quantities, whatever goes in."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productionservice.children.deployment import desired_replicas
from productionservice.children.quantity import amount, canonical
from productionservice.effective import compute_effective, most_unavailable
from productionservice.names import child_name, label_value, volume_name
from tests.support.builders import make_service
from tests.support.specs import names, paths, quantities, specs


@pytest.mark.parametrize("replicas", range(1, 51))
def test_a_budget_never_blocks_a_drain_and_never_loses_the_majority(replicas: int) -> None:
    for wanted in (None, *range(1, 51)):
        availability = {} if wanted is None else {"maxUnavailable": wanted}
        found = compute_effective(make_service(replicas={"min": replicas}, availability=availability).spec)

        assert 1 <= found.max_unavailable <= (wanted or 1)
        if replicas >= 3:
            assert 2 * (replicas - found.max_unavailable) > replicas


@given(st.integers(3, 500))
def test_the_bound_is_the_largest_that_keeps_the_majority(replicas: int) -> None:
    assert 2 * (replicas - most_unavailable(replicas) - 1) <= replicas


@given(specs)
def test_every_pod_has_the_time_that_it_needs_to_leave(spec: dict[str, Any]) -> None:
    service = make_service(**spec)
    found = compute_effective(service.spec)

    assert found.grace_seconds == found.pre_stop_seconds + found.drain_seconds + 10
    assert found.grace_seconds <= service.spec.shutdown.max_seconds
    assert found.progress_deadline_seconds > found.min_ready_seconds + service.spec.probes.startup_seconds


@given(specs, st.none() | st.integers(0, 600))
def test_the_number_of_pods_is_always_within_the_bounds(spec: dict[str, Any], live: int | None) -> None:
    found = compute_effective(make_service(**spec).spec)
    wanted = desired_replicas(found, live)

    assert 1 <= found.replicas_min <= wanted <= found.replicas_max
    assert found.autoscaled == (found.replicas_min < found.replicas_max)
    # Asking again changes nothing: the operator and the autoscaler never take turns.
    assert desired_replicas(found, wanted) == wanted


@given(quantities)
def test_a_quantity_keeps_its_value_and_has_one_form(text: str) -> None:
    written = canonical(text)

    assert canonical(written) == written
    assert 0 <= amount(written) - amount(text) < Fraction(1, 10**9)


@given(st.lists(st.text(st.sampled_from("abc-"), min_size=1, max_size=90), min_size=2, unique=True))
def test_distinct_inputs_never_share_a_name(texts: list[str]) -> None:
    found = [child_name(text) for text in texts]

    assert len(set(found)) == len(texts)
    assert all(len(name) <= 63 for name in found)


@given(names, names)
def test_a_childs_name_is_a_dns_label(service: str, suffix: str) -> None:
    name = child_name(service, suffix)

    assert len(name) <= 63
    assert name[0].isalpha()
    assert name[-1] != "-"


@given(st.lists(paths, min_size=2, unique=True))
def test_distinct_paths_never_share_a_volume(found: list[str]) -> None:
    volumes = [volume_name(path) for path in found]

    assert len(set(volumes)) == len(found)
    assert all(len(name) <= 63 and name[0].isalnum() and name.replace("-", "").isalnum() for name in volumes)


@given(st.text(max_size=200))
def test_a_label_value_is_valid_or_empty(text: str) -> None:
    value = label_value(text)

    assert len(value) <= 63
    assert value == "" or (value[0].isalnum() and value[-1].isalnum() and value.isascii())
