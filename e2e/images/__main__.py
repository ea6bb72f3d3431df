"""python -m e2e.images: build, list, save and remove the operator's and the service's images."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from e2e.images import RECIPES, build_image, clean
from e2e.images.archive import names
from e2e.images.builder import archives
from e2e.progress import CommandError, run_command

_PROGRAM = "python -m e2e.images"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 it failed (the last line says what to do), 2 wrong usage."""
    chosen = _parser().parse_args(argv)
    actions: dict[str, Callable[[], None]] = {
        "build": lambda: _build(chosen.image, chosen.tag),
        "list": _list,
        "save": lambda: _save(chosen.image, chosen.tag, chosen.file),
        "clean": clean,
    }
    return run_command(actions[chosen.command])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Images of the operator and the service, as docker-archive files in the cache.",
        epilog="exit codes: 0 done, 1 failed (the last line says what to do), 2 wrong usage",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build", help="build what is not in the cache, and print where it is",
        epilog=f"example: {_PROGRAM} build service --tag v0.2.0",
    )  # fmt: skip
    build.add_argument("image", nargs="?", choices=[*RECIPES, "all"], default="all")
    save = commands.add_parser(
        "save", help="write an image to a file, for docker load or a registry's tool",
        epilog=f"example: {_PROGRAM} save operator operator.tar --tag v0.2.0",
    )  # fmt: skip
    save.add_argument("image", choices=[*RECIPES])
    save.add_argument("file", type=Path)
    for command in (build, save):
        command.add_argument("--tag", default="dev", help="tag and version label (default: dev)")
    commands.add_parser("list", help="list what is in the cache", epilog=f"example: {_PROGRAM} list")
    commands.add_parser(
        "clean", help="remove images, layers and archives", epilog=f"example: {_PROGRAM} clean"
    )
    return parser


def _build(image: str, tag: str) -> None:
    for name in RECIPES if image == "all" else [image]:
        print(build_image(name, tag))


def _list() -> None:
    for archive in archives():
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(archive.stat().st_mtime))
        print(f"{', '.join(names(archive)):50} {archive.stat().st_size / 1e6:6.1f} MB  {made}  {archive}")


def _save(image: str, tag: str, file: Path) -> None:
    try:
        shutil.copyfile(build_image(image, tag), file)
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}; choose another file") from None


if __name__ == "__main__":
    sys.exit(main())
