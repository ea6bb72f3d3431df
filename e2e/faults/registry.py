"""The faults by number. A scenario makes the fault; what `World.holds` checks has to hold afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from e2e.faults.world import World

Scenario = Callable[[World], None]


@dataclass(frozen=True)
class Row:
    """One fault."""

    id: str
    title: str
    expected: str
    """What the world sees meanwhile; that all invariants hold afterwards goes without saying."""
    run: Scenario
    quick: bool
    """True for those that `make test` runs each time."""
    settings: dict[str, str]
    """Of the operator."""


ROWS: list[Row] = []


def fault(
    id_: str, title: str, expected: str, *, quick: bool = True, **settings: str
) -> Callable[[Scenario], Scenario]:
    """Put a scenario into the catalogue."""

    def register(run: Scenario) -> Scenario:
        ROWS.append(Row(id_, title, expected, run, quick, settings))
        return run

    return register
