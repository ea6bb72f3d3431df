"""docs/conditions.md is made from the reasons' docstrings, so that no reason goes unexplained."""

from __future__ import annotations

import ast
import inspect
import itertools
from pathlib import Path

import productionservice.status.reasons as reasons_module
from productionservice.status.reasons import Reason

DOCUMENT = Path(__file__).parents[2] / "docs" / "conditions.md"


def explanations() -> dict[str, str]:
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(reasons_module)).body
        if isinstance(node, ast.ClassDef) and node.name == "Reason"
    )
    found: dict[str, str] = {}
    for assignment, text in itertools.pairwise(body):
        if isinstance(assignment, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(assignment.value, ast.Constant)
            assert isinstance(text.value, ast.Constant)
            found[str(assignment.value.value)] = " ".join(str(text.value.value).split())
    return found


def test_every_reason_has_an_explanation() -> None:
    assert set(explanations()) == {reason.value for reason in Reason}


def test_the_document_has_every_reason_in_the_words_of_the_code() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]

    assert rows == [f"| `{reason}` | {text} |" for reason, text in explanations().items()]
