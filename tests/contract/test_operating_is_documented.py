"""docs/operating.md has every alert of the chart and every line that the operator can log."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
ALERTS = ROOT / "charts" / "productionservice-operator" / "files" / "alerts.yaml"
SHOWN_AS = {"exception": "error"}
"""Level of a line by the method that writes it, where they differ."""


def table(heading: str) -> list[list[str]]:
    """Cells of the rows below the line that begins with `heading`."""
    lines = DOCUMENT.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(heading)) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:end]]


def logged() -> dict[tuple[str, str], set[str]]:
    """What the operator's own code logs: event and level, with the fields that are written there."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in sorted((ROOT / "operator").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=method),
                    args=[ast.Constant(value=str(event))],
                    keywords=keywords,
                ):
                    fields = found[event, SHOWN_AS.get(method, method)]
                    fields |= {keyword.arg for keyword in keywords if keyword.arg}
                    fields |= {"exception"} if method == "exception" else set()
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
                    raise AssertionError(
                        f"{path.name}:{node.lineno}: an event is one fixed text, its values are fields"
                    )
    return found


def test_every_line_of_the_log_is_documented_with_its_fields() -> None:
    rows = table("| event | level")
    documented = {(event, level): set(re.findall(r"`(\w+)`", fields)) for event, level, fields, _ in rows}
    of_passes = {"outcome", "duration", "again_in"}

    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert {line: fields - of_passes for line, fields in documented.items()} == logged()


def test_every_alert_is_listed_in_its_own_words() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]

    assert table("| alert | severity") == [
        [
            f"[{rule['alert']}](runbooks/operator.md#{rule['alert'].lower()})",
            rule["labels"]["severity"],
            re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", rule["annotations"]["summary"]),
        ]
        for rule in rules
    ]


def test_runbooks_and_document_name_only_alerts_that_exist() -> None:
    there = {rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    runbooks = (ROOT / "docs" / "runbooks" / "operator.md").read_text()

    assert set(re.findall(r"ProductionServices?(?:Operator|Not)[A-Z]\w+", DOCUMENT + runbooks)) == there
