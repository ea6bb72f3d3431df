"""Run the catalogue and write down what came of it.

    python -m e2e.faults                 all of it, and docs/faults.md
    python -m e2e.faults --only F09 F33  some of it; the other rows keep what came of them before

Exit codes: 0 everything held, 1 something did not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from e2e.cluster.providers import open_cluster
from e2e.faults.catalogue import ELSEWHERE, NOT_BUILT, catalogue
from e2e.faults.operator import LATE_SECONDS, REQUEST_SECONDS, SILENCE_SECONDS, STREAM_SECONDS
from e2e.faults.registry import Row
from e2e.faults.sequences import RESULTS as SEQUENCES
from e2e.faults.sequences import Sequences
from e2e.faults.world import CHECKS, world
from e2e.progress import CommandError

ROOT = Path(__file__).parents[2]
DOCUMENT, RESULTS = ROOT / "docs" / "faults.md", ROOT / "build" / "faults.json"


_INTRO = f"""\
# Faults and what comes of them

Made by `make faults` (`python -m e2e.faults`): the real operator, a real API server with its controllers, and a proxy
in between that does the harm. After each fault these have to hold, or the row fails:

- every child is what the spec comes to, there is nothing else, and the children are the same objects as before (but for
  those that the scenario itself deletes);
- every condition is about the newest generation;
- nobody else's object was written (a Service, a Deployment, a NetworkPolicy and a ConfigMap beside ours);
- no write follows but the one that a repair by hand takes;
- no value of a Secret is in a log, an event or a status;
- requests stay bounded.

The operator is the one that is shipped, with four constants changed so that a fault shows within seconds: it gives up
on a request after {REQUEST_SECONDS:g} s instead of 15, and on a silent watch after {SILENCE_SECONDS:g} s instead of 70;
a change is late in the stream of services after {LATE_SECONDS:g} s instead of 15, and the stream dead after
{STREAM_SECONDS:g} s instead of 120.
"""
_OLDER = """
*Fewer checks*: of a run before the UIDs of children and others' Services, Deployments and NetworkPolicies were looked
at in every row.
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one fault."""

    id: str
    title: str
    expected: str
    held: bool
    seconds: float
    """Of the whole scenario, a new operator and the checks at rest included."""
    error: str = ""
    checks: int = CHECKS
    """Which checks followed."""

    @property
    def told(self) -> str:
        """As the document has it."""
        older = "" if self.checks == CHECKS else " (fewer checks)"
        return f"yes{older}" if self.held else f"**no**: {self.error}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, write. Returns the exit code."""
    rows = catalogue()
    parser = argparse.ArgumentParser(
        prog="python -m e2e.faults", description="Every fault, one by one, on a real API server.",
        epilog="example: python -m e2e.faults --only F09 F33",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", metavar="ID", choices=[row.id for row in rows], help="some of them"
    )
    parser.add_argument("--cluster", default="faults", help="name of the cluster that is made for it")
    chosen = parser.parse_args(argv)
    wanted = [row for row in rows if not chosen.only or row.id in chosen.only]
    try:
        outcomes = _run_all(wanted, chosen.cluster)
    except CommandError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    known = merged(outcomes, rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(outcome) for outcome in known], indent=1) + "\n")
    if len(known) == len(rows):
        DOCUMENT.write_text(document(known, sequences()))
    else:
        print(
            f"{DOCUMENT.name} stays: {len(rows) - len(known)} rows have never been run here", file=sys.stderr
        )
    held = sum(outcome.held for outcome in outcomes)
    word = "ok" if held == len(outcomes) else "short"
    print(f"faults_held {held} of {len(outcomes)} goal {len(outcomes)} {word}")
    return 0 if held == len(outcomes) else 1


def merged(outcomes: Sequence[Outcome], rows: Sequence[Row]) -> list[Outcome]:
    """The new outcomes, and those of earlier runs for rows that were not run now, in the order of `rows`."""
    earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    found = {entry["id"]: Outcome(**entry) for entry in earlier} | {o.id: o for o in outcomes}
    return [replace(found[row.id], title=row.title, expected=row.expected) for row in rows if row.id in found]


def sequences() -> Sequences | None:
    """What came of the random sequences run last, if any were."""
    return Sequences(**json.loads(SEQUENCES.read_text())) if SEQUENCES.is_file() else None


def _run_all(rows: Sequence[Row], name: str) -> list[Outcome]:
    cluster = open_cluster(name, "api")
    cluster.create()
    try:
        outcomes = []
        for number, row in enumerate(rows, 1):
            started = time.monotonic()
            error = ""
            try:
                with world(cluster, row.settings) as made:
                    row.run(made)
            except Exception as failure:  # noqa: BLE001 - whatever went wrong belongs into the table
                error = f"{type(failure).__name__}: {failure}".splitlines()[0][:300]
            seconds = round(time.monotonic() - started, 1)
            outcomes.append(Outcome(row.id, row.title, row.expected, not error, seconds, error))
            print(
                f"{number:3}/{len(rows)} {row.id:5} {row.title}: {error or 'held'} ({seconds} s)", flush=True
            )
        return outcomes
    finally:
        cluster.delete()


def document(outcomes: Sequence[Outcome], random: Sequences | None) -> str:
    """docs/faults.md."""
    lines = [
        _INTRO,
        *_about(random),
        "| | fault | seen meanwhile | held | seconds |",
        "|---|---|---|---|---|",
        *(f"| {o.id} | {o.title} | {o.expected} | {o.told} | {o.seconds:.0f} |" for o in outcomes),
        "",
        "Seconds: the whole scenario, with the start of a new operator (1 to 2 s) and the checks at rest (4 to 6 s).",
        _OLDER if any(outcome.checks != CHECKS for outcome in outcomes) else "",
        "Shown elsewhere:",
        "",
        *(f"- {id_}: {what}" for id_, what in sorted(ELSEWHERE.items())),
        "",
        *(["Not built yet:", ""] if NOT_BUILT else []),
        *(f"- {id_}: {what}" for id_, what in sorted(NOT_BUILT.items())),
        *([""] if NOT_BUILT else []),
    ]
    return "\n".join(lines)


def _about(random: Sequences | None) -> list[str]:
    if random is None:
        return []
    kinds = ", ".join(f"{kind} {count}" for kind, count in random.kinds.items())
    return [
        f"Beside the catalogue, random sequences (hypothesis, stateful): `python -m e2e.faults.sequences --steps "
        f"{random.steps} --seed {random.seed}` ended with {random.wrong} wrong end states. Steps by kind: {kinds}. "
        "After every twelve of them, and at the end of each fifty, every child has to be what the specs come to, "
        "every condition about the newest generation, nothing left of what was deleted, and nobody else's object "
        "written.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
