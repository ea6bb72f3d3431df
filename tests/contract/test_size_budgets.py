"""Small enough to read: the budgets of the design, for every module that is tracked or about to be."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LIMIT, FUNCTION_P90, MODULE_LIMIT = 60, 32, 400  # lines; from the shape of codebases that age well
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base"}


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the definition to the end, without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    skipped = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - skipped


def functions(path: Path) -> list[tuple[int, str]]:
    return [
        (body_length(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_function_is_longer_than_sixty_lines() -> None:
    assert [f for path in sources() for f in functions(path) if f[0] > FUNCTION_LIMIT] == []


@pytest.mark.parametrize("package", ["operator", "service", "e2e"])
def test_nine_functions_of_ten_fit_on_a_screen(package: str) -> None:
    lengths = sorted(
        length for path in sources() if path.is_relative_to(ROOT / package) for length, _ in functions(path)
    )

    assert lengths, f"no functions found under {package}/"
    assert lengths[int(len(lengths) * 0.9)] <= FUNCTION_P90


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources()}

    assert {name: n for name, n in lengths.items() if n > MODULE_LIMIT} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    assert [p for p in sources() if p.stem in VAGUE] == []


def test_operator_folder_never_shadows_the_standard_library() -> None:
    # An __init__.py there makes `import collections` fail for everything started in the repository root.
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert {p for p in (ROOT / "tests").rglob("*") if p.is_dir() and any(p.glob("*.py"))} | {
        ROOT / "tests"
    } == {p.parent for p in (ROOT / "tests").rglob("__init__.py")}


def test_every_lint_exception_has_its_reason_beside_it() -> None:
    silent = re.compile(r"#\s*(noqa|type: ignore)(\s*$|(:\s*[A-Z0-9, ]+|\[[a-z-, ]+\])\s*$)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if silent.search(line)
    ]

    assert found == []
