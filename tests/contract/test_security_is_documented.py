"""docs/security.md and the tests name each other: no row without a test, no test without a row."""

from __future__ import annotations

import re
from pathlib import Path

from productionservice.rbac import cluster_rules

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
WANTED = {f"S{n:02}" for n in (*range(1, 10), 15, *range(17, 23), 25, 36)}


def rows() -> dict[str, list[str]]:
    """Tests by id of the row."""
    lines = [line.split(" | ") for line in DOCUMENT.read_text().splitlines() if re.match(r"\| S\d\d ", line)]
    return {cells[0].removeprefix("| "): re.findall(r"`(tests/[^`]+)`", cells[-1]) for cells in lines}


def test_every_row_has_a_test_and_each_is_there() -> None:
    assert rows().keys() == WANTED
    for tests in rows().values():
        assert tests
        for path, _, name in (test.partition("::") for test in tests):
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_test_that_carries_an_id_is_in_the_row_of_it() -> None:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        found = re.findall(r"^(?:async )?def (test_((?:s\d\d_)+)\w+)\(", path.read_text(), re.MULTILINE)
        for name, ids in found:
            for row in ids.upper().split("_")[:-1]:
                assert f"{path.relative_to(ROOT)}::{name}" in rows()[row]


def documented_rights() -> list[tuple[str, list[str], list[str]]]:
    """Group, resources and verbs of each row of the table of rights; every row says why."""
    section = DOCUMENT.read_text().partition("## Rights of the operator")[2].partition("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert all(len(cells) == 4 and cells[3] for cells in table)
    return [
        ("" if group == "core" else group, resources.split(", "), verbs.split(", "))
        for group, resources, verbs, _ in table
    ]


def test_the_table_of_rights_is_the_operators_rules() -> None:
    given = [
        (group, rule["resources"], rule["verbs"]) for rule in cluster_rules() for group in rule["apiGroups"]
    ]

    assert documented_rights() == given
