"""`python -m benchmarks.service COMMAND`: one command a question."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence

from benchmarks.document import rewrite
from benchmarks.figures import BUILD, Figure

_COMMANDS = {
    "tax": "processor time per request: bare FastAPI, the full stack, a peer's and the tutorials' stack (2 min)",
    "overload": "2 and 5 times of what it can: goodput, latency, refusals, recovery; others' stacks beside it (5 min)",
    "drain": "processes replaced under 200 connections of eight kinds, behind proxies too, and stock uvicorn (5 min)",
    "rollouts": "the same through a Service of a cluster: 54 pods replaced, and stock uvicorn's beside them (8 min)",
    "hostile": "slow, huge and forged requests: what a healthy client beside them notices (5 min)",
    "faults": "PostgreSQL and Redis hang or flap: readiness, cached and other routes; others' beside it (8 min)",
    "cache": "a hot key in four processes: origin calls, waiting, Redis hung, all restarted; others' beside it (4 min)",
}
_USAGE = (
    "usage: python -m benchmarks.service COMMAND [--help]\n\n"
    + "".join(f"  {name:<10}{text}\n" for name, text in _COMMANDS.items())
    + "\n  --write   put the figures into docs/performance.md as well\n"
    + "\nexample: python -m benchmarks.service tax --rounds 5\n"
)


_WRITE = "--write"


def main(argv: Sequence[str]) -> int:
    """Run one command. 0: every goal reached, 1: one missed, 2: wrong usage."""
    if argv and argv[0] in _COMMANDS:
        module = importlib.import_module(f"benchmarks.service.{argv[0]}")
        code = int(module.main([each for each in argv[1:] if each != _WRITE]))
        if _WRITE in argv:
            _write([each for each in argv if each != _WRITE])
        return code
    helped = bool(argv) and argv[0] in ("-h", "--help")
    (sys.stdout if helped else sys.stderr).write(_USAGE)
    return 0 if helped else 2


def _write(argv: Sequence[str]) -> None:
    command = argv[0]
    measured = json.loads((BUILD / f"bench-service-{command}.json").read_text())
    figures = [Figure(**{key: row[key] for key in row if key != "ok"}) for row in measured["figures"]]
    rewrite(
        f"service-{command}",
        f"python -m benchmarks.service {' '.join(argv)}",
        figures,
        measured["conditions"],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
