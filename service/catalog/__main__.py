"""`python -m catalog`: serve the catalogue until SIGTERM."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns 0 after a clean drain, 2 for settings or arguments that cannot be used."""
    signal.signal(signal.SIGTERM, _leave_before_start)

    from catalog.command import command  # noqa: PLC0415  takes most of the start-up time; a signal may come before

    return command(sys.argv[1:] if arguments is None else arguments)


def _leave_before_start(_signal: int, _frame: FrameType | None) -> None:
    # As process 1 of a container we would not even get SIGTERM without a handler.
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
