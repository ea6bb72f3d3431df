"""Steps with their times, for commands that take long enough to make people wonder."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STILL_THERE = 20.0  # seconds between signs of life while a step runs


class CommandError(Exception):
    """Ends a command with one line that says what to do. No traceback: the cause is in the message."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print `title`, a sign of life every 20 s, and the time at the end."""
    started = time.monotonic()
    print(f"• {title} …", file=sys.stderr, flush=True)
    finished = threading.Event()
    watcher = threading.Thread(target=_signs_of_life, args=(title, started, finished), daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        print(f"✗ {title}: failed after {clock(started)}", file=sys.stderr, flush=True)
        raise
    finally:
        finished.set()
        watcher.join()
    print(f"✓ {title}: {clock(started)}", file=sys.stderr, flush=True)


def clock(started: float) -> str:
    """Time since `started` (monotonic seconds) as `7.3 s` or `2:05 min`."""
    seconds = time.monotonic() - started
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02d} min"


def run_command(main: Callable[[], object]) -> int:
    """Exit code of `main()`: 0, or 1 with one line on standard error when it raised CommandError."""
    try:
        main()
    except CommandError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


def _signs_of_life(title: str, started: float, finished: threading.Event) -> None:
    while not finished.wait(_STILL_THERE):
        print(f"  … {title}: {clock(started)}", file=sys.stderr, flush=True)
