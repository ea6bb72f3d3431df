"""`python -m e2e.tools`: build, find and trim the pinned tools.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from e2e.progress import run_command
from e2e.tools.builder import ensure, tool, trim
from e2e.tools.cache import cache_dir
from e2e.tools.pins import FAMILIES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.tools",
        description=f"Programs of the test cluster, built once into {cache_dir()}.",
        epilog="exit codes: 0 done, 1 failed (the last line says what to do), 2 wrong usage",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build", help="build what is missing", epilog="example: python -m e2e.tools build kube"
    )
    build.add_argument("family", nargs="*", help=f"one or more of {', '.join(FAMILIES)} (default: all)")
    path = commands.add_parser(
        "path", help="print where a program is", epilog="example: $(python -m e2e.tools path kubectl) version"
    )
    path.add_argument("program")
    commands.add_parser(
        "trim",
        help="remove programs of older pins and Go's caches",
        epilog="example: python -m e2e.tools trim   (the next build of a changed pin starts cold)",
    )
    chosen = parser.parse_args(argv)
    if chosen.command == "build":
        return run_command(lambda: ensure(chosen.family or FAMILIES))
    if chosen.command == "path":
        return run_command(lambda: print(tool(chosen.program)))
    return run_command(trim)


if __name__ == "__main__":
    sys.exit(main())
