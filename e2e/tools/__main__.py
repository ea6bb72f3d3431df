"""python -m e2e.tools: build, find and trim the programs of the test cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from e2e.progress import run_command
from e2e.tools import FAMILIES, ensure, tool, trim


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a build failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.tools", description=__doc__, epilog="example: python -m e2e.tools build etcd kube"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build what is missing", epilog="example: … build kube")
    build.add_argument("family", nargs="*", choices=[*FAMILIES, []], help="default: all")
    path = commands.add_parser("path", help="print where a program is", epilog="example: … path kubectl")
    path.add_argument("program")
    commands.add_parser("trim", help="remove old builds and Go's build cache", epilog="example: … trim")
    chosen = parser.parse_args(argv)
    if chosen.command == "build":
        return run_command(lambda: ensure(chosen.family or FAMILIES))
    if chosen.command == "path":
        return run_command(lambda: print(tool(chosen.program)))
    return run_command(lambda: print(f"freed {trim() / 1e9:.1f} GB"))


if __name__ == "__main__":
    sys.exit(main())
