"""Everything that a process logs is one JSON object per line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SERVICE = Path(__file__).parents[3] / "service"
PROGRAM = """
import logging, structlog, warnings
from prodkit import correlation
from prodkit.logs import configure_logging
configure_logging(level="info", fields={"service": "shop"})
structlog.get_logger().info("own", number=1, odd={1, 2})
correlation.enter(correlation.make_context(b"the-id", None))
structlog.get_logger().warning("inside")
logging.getLogger("uvicorn.error").error("foreign %s", "two\\nlines")
logging.getLogger("sqlalchemy.engine").info("chatter")
structlog.get_logger().debug("too low")
warnings.warn("careful")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("x").exception("broken")
"""


def test_own_and_foreign_lines_look_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(SERVICE)},
        text=True,
    )
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"].split("\n")[0].split(":")[0] for line in lines] == [
        "own", "inside", "foreign two", "<string>", "broken",
    ]  # fmt: skip
    assert all({"timestamp", "level", "service"} <= set(line) for line in lines)
    assert [line.get("request_id") for line in lines] == [None] + ["the-id"] * 4
    assert lines[2]["logger"] == "uvicorn.error"
    assert "ZeroDivisionError" in lines[4]["exception"]
