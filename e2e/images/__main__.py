"""python -m e2e.images: build, list and remove the operator's and the service's images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from e2e.images import RECIPES, build_image, clean
from e2e.images.archive import names
from e2e.progress import run_command
from e2e.tools import cache_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a build failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.images",
        description=__doc__,
        epilog="example: python -m e2e.images build service --tag v1",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build", help="build and print the archive's path", epilog="example: … build all"
    )
    build.add_argument("image", nargs="?", choices=[*RECIPES, "all"], default="all")
    build.add_argument("--tag", default="dev", help="default: dev")
    commands.add_parser("list", help="archives in the cache", epilog="example: … list")
    commands.add_parser("clean", help="remove images, layers and archives", epilog="example: … clean")
    chosen = parser.parse_args(argv)
    if chosen.command == "clean":
        return run_command(clean)
    if chosen.command == "list":
        return run_command(_list)
    wanted = list(RECIPES) if chosen.image == "all" else [chosen.image]
    return run_command(lambda: [print(build_image(name, chosen.tag)) for name in wanted])


def _list() -> None:
    for archive in sorted((cache_dir() / "images").glob("*/*.tar")):
        print(f"{archive.stat().st_size / 1e6:7.1f} MB  {', '.join(names(archive)):60} {archive}")


if __name__ == "__main__":
    sys.exit(main())
