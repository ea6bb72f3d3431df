"""Keeps the process small: what a list of a whole cluster needed for moments goes back to the system.

For glibc only; with another C library nothing here has an effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import Callable, Sequence
from pathlib import Path

_MMAP_THRESHOLD, _THRESHOLD_BYTES = -3, 128 * 1024
"""M_MMAP_THRESHOLD of malloc.h, and its documented default: setting it stops glibc from raising it by itself."""
CHECK_SECONDS = 5.0
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container reads its own limit: cgroup v2, and v1."""
_UNLIMITED = 2**60
"""cgroup v1 writes the largest number of pages in place of no limit."""


def limit(files: Sequence[Path] = _LIMITS) -> int:
    """Memory limit of this container in bytes; 0 when there is none, or none that can be read."""
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # v2 writes "max" for no limit
            found = int(file.read_text())
            return found if found < _UNLIMITED else 0
    return 0


COLLECT_EVERY = 20_000
"""New containers between two looks for cycles, instead of 700: lists of a cluster make millions, and hardly a cycle. It
takes a quarter off the CPU of taking them in (400 to 300 µs for the eight objects of a service)."""
COLLECT_SETTLED = 2_000
"""The same once everything has been taken in: what comes then is mostly kopf's events, which are cycles."""


def keep_small() -> None:
    """Let buffers of large answers be returned when they are freed, and look for cycles less often.

    By default glibc learns from the first one to keep such buffers in its heap, for ever.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(COLLECT_EVERY, 20, 20)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_MMAP_THRESHOLD, _THRESHOLD_BYTES)


def settle() -> None:
    """Everything has been taken in: look for cycles more often."""
    gc.set_threshold(COLLECT_SETTLED, 20, 20)


def trim() -> None:
    """Return free pages in the middle of the heap; some milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


async def trim_after_bursts(freed: Callable[[], float]) -> None:
    """Trim once after each burst of what frees memory; `freed` counts it. Never returns."""
    trimmed = 0.0
    before = freed()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        now = freed()
        if now == before and now != trimmed:
            trim()
            trimmed = now
        before = now
