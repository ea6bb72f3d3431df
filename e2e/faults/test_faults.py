"""The quick part of the catalogue, and that nothing is in it twice. `make faults` runs all of it."""

from __future__ import annotations

import pytest

from e2e.cluster.providers import Cluster
from e2e.faults import sequences
from e2e.faults.catalogue import NOT_BUILT, catalogue
from e2e.faults.registry import Row
from e2e.faults.world import world

QUICK = [row for row in catalogue() if row.quick]


def test_each_fault_is_there_once_and_enough_are_quick() -> None:
    ids = [row.id for row in catalogue()]

    assert len(ids) == len(set(ids))
    assert not set(ids) & set(NOT_BUILT)
    assert len(QUICK) >= 25


@pytest.mark.api
@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.id)
def test_it_ends_well(api_cluster: Cluster, row: Row) -> None:
    with world(api_cluster, row.settings) as made:
        row.run(made)


@pytest.mark.api
def test_random_steps_end_as_the_specs_say(api_cluster: Cluster) -> None:
    with world(api_cluster, {}) as made:
        sequences.run(made, steps=36, seed=11)
