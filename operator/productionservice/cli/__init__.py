"""psvc: the operator's own stages from the command line.

Exit codes: 0 done, 1 a check failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from productionservice.cli import generate
from productionservice.errors import OperatorError

_COMMANDS = (generate,)
"""One module a command, each with NAME, HELP, EXAMPLE, `add_arguments(parser)` and `run(chosen) -> exit code`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="psvc", description=__doc__, epilog="example: psvc generate --check"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, epilog=f"example: {command.EXAMPLE}")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    chosen = parser.parse_args(argv)
    try:
        return int(chosen.run(chosen))
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
