"""The quick part of the catalogue, and that nothing is in it twice. `make faults` runs all of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from e2e.cluster.providers import Cluster
from e2e.faults import __main__ as table
from e2e.faults import sequences
from e2e.faults.__main__ import Outcome
from e2e.faults.catalogue import ELSEWHERE, NOT_BUILT, RANGE, catalogue
from e2e.faults.registry import Row
from e2e.faults.sequences import Sequences
from e2e.faults.world import world

ROOT = Path(__file__).parents[2]
QUICK = [row for row in catalogue() if row.quick]


def test_each_fault_is_there_once_and_enough_are_quick() -> None:
    ids = [row.id for row in catalogue()]

    assert len(ids) == len(set(ids))
    assert not set(ids) & set(NOT_BUILT)
    assert len(QUICK) >= 25


def test_every_fault_of_the_range_is_shown_or_said_to_be_missing() -> None:
    rows = {row.id.rstrip("abc") for row in catalogue()}

    assert rows | set(ELSEWHERE) | set(NOT_BUILT) == RANGE


def test_what_is_shown_elsewhere_is_there() -> None:
    for what in ELSEWHERE.values():
        [path] = re.findall(r"[a-z0-9_/]+\.py", what)
        assert (ROOT / path).is_file(), path


def test_rows_that_were_not_run_keep_what_came_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = catalogue()[:3]
    before = [Outcome(row.id, "old title", row.expected, True, 9.0, checks=1) for row in rows[:2]]
    results = tmp_path / "faults.json"
    monkeypatch.setattr(table, "RESULTS", results)
    results.write_text(json.dumps([asdict(outcome) for outcome in before]))

    known = table.merged([Outcome(rows[1].id, rows[1].title, rows[1].expected, False, 1.0, "it fell")], rows)

    assert [(o.id, o.title, o.told) for o in known] == [
        (rows[0].id, rows[0].title, "yes (fewer checks)"),
        (rows[1].id, rows[1].title, "**no**: it fell"),
    ]


def test_the_document_says_what_the_sequences_came_to_and_nothing_without_a_run() -> None:
    outcomes = [Outcome(row.id, row.title, row.expected, True, 1.0) for row in catalogue()]
    ran = Sequences(seed=5, steps=1000, kinds={"apply": 600, "pause": 400}, wrong=0)

    assert "--steps 1000 --seed 5` ended with 0 wrong end states" in table.document(outcomes, ran)
    assert "sequences" not in table.document(outcomes, None)


@pytest.mark.api
@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.id)
def test_it_ends_well(api_cluster: Cluster, row: Row) -> None:
    with world(api_cluster, row.settings) as made:
        row.run(made)


@pytest.mark.api
def test_random_steps_end_as_the_specs_say(api_cluster: Cluster) -> None:
    with world(api_cluster, {}) as made:
        sequences.run(made, {}, steps=24, first_seed=13)
