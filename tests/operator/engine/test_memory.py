"""The container's own memory limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from productionservice.engine.memory import limit


@pytest.mark.parametrize(
    ("text", "found"),
    [("268435456\n", 268435456), ("max\n", 0), ("9223372036854771712\n", 0), ("", 0)],
    ids=["a limit", "none, cgroup v2", "none, cgroup v1", "empty"],
)
def test_it_is_what_the_cgroup_says(text: str, found: int, tmp_path: Path) -> None:
    file = tmp_path / "memory.max"
    file.write_text(text)

    assert limit([tmp_path / "absent", file]) == found


def test_without_a_cgroup_there_is_none(tmp_path: Path) -> None:
    assert limit([tmp_path / "absent"]) == 0
