"""Every line of the operator is one JSON object, and says of which pass it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, sys, warnings, structlog
from productionservice import logs
logs.configure(sys.argv[1])
own, foreign = structlog.get_logger("own"), logging.getLogger("kopf.reactor")
own.info("outside")
with structlog.contextvars.bound_contextvars(reconcile_id="abc", namespace="shop", name="catalog"):
    own.warning("inside", error="two\\nlines")
    own.debug("details")
    foreign.error("of a library")
    warnings.warn("careful")
    try:
        password = "hunter2"
        raise RuntimeError("broken")
    except RuntimeError:
        own.exception("unforeseen")
record = logging.getLogger("kopf.objects")
record.warning("about an object", extra={"k8s_ref": {"namespace": "shop", "name": "cart"}})
record.info("Handler succeeded")
"""


def logged(level: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "operator")},
        text=True,
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_of_a_pass_have_its_id_whoever_writes_them() -> None:
    lines = logged("info")

    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)
    assert [line.get("reconcile_id") for line in lines] == [None, *["abc"] * 4, None]
    assert lines[2]["event"] == "of a library"
    assert "careful" in lines[3]["event"]
    assert (lines[5]["namespace"], lines[5]["name"]) == ("shop", "cart"), "as kopf names it"


def test_a_trace_has_no_values() -> None:
    (line,) = [line for line in logged("info") if line["event"] == "unforeseen"]

    assert "RuntimeError: broken" in line["exception"]
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(("level", "there"), [("debug", True), ("info", False)])
def test_details_are_there_when_they_are_asked_for(level: str, there: bool) -> None:
    assert ("details" in [line["event"] for line in logged(level)]) is there
