"""`python -m benchmarks.service COMMAND`: one command a question."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

_COMMANDS = {
    "tax": "processor time per request: bare FastAPI, the full stack, a peer's and the tutorials' stack (2 min)",
    "overload": "2 and 5 times of what it can: goodput, latency, refusals, recovery; the same without limiter (2 min)",
    "drain": "processes replaced under 200 connections of eight kinds, and the same with stock uvicorn (5 min)",
    "hostile": "slow, huge and forged requests: what a healthy client beside them notices (2 min)",
}
_USAGE = (
    "usage: python -m benchmarks.service COMMAND [--help]\n\n"
    + "".join(f"  {name:<10}{text}\n" for name, text in _COMMANDS.items())
    + "\nexample: python -m benchmarks.service tax --rounds 5\n"
)


def main(argv: Sequence[str]) -> int:
    """Run one command. 0: every goal reached, 1: one missed, 2: wrong usage."""
    if argv and argv[0] in _COMMANDS:
        module = importlib.import_module(f"benchmarks.service.{argv[0]}")
        return int(module.main(argv[1:]))
    helped = bool(argv) and argv[0] in ("-h", "--help")
    (sys.stdout if helped else sys.stderr).write(_USAGE)
    return 0 if helped else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
