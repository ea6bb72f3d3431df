"""Where everything that is slow to make is kept between runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """`$PRODUCTIONSERVICE_CACHE`, else `productionservice` under `$XDG_CACHE_HOME` or `~/.cache`."""
    if chosen := os.environ.get("PRODUCTIONSERVICE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "productionservice"


@contextmanager
def locked(name: str, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the cache's lock `name`; calls `waiting` once when another process holds it."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_once(
    target: Path, make: Callable[[Path], None], *, waiting: Callable[[], None] = lambda: None
) -> Path:
    """Folder `target`, made by `make(folder)` unless it is there.

    Made beside its place and renamed, so that it is never seen half done; two processes that want the same
    wait for each other.
    """
    if target.exists():
        return target
    with locked(f"{target.name}.lock", waiting=waiting):
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            make(made)
            made.chmod(0o755)
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return target
