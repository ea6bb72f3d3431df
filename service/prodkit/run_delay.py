"""How long this thread could have run but others had the processor, as Linux counts it."""

from __future__ import annotations

import os

_FILE = "/proc/thread-self/schedstat"  # nanoseconds run, nanoseconds waited to run, times scheduled
_NANOSECONDS = 1e9


class RunDelay:
    """Reads the counters of the thread that opened it; zeros where the kernel has none."""

    def __init__(self) -> None:
        self._file = -1

    def open(self) -> None:
        """Begin with the thread that calls."""
        self.close()
        try:
            self._file = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # another system, or a kernel without the counter
            self._file = -1

    def seconds(self) -> float:
        """Seconds waited so far, for one system call. A throttled container's waiting is in it."""
        if self._file < 0:
            return 0.0
        try:
            return int(os.pread(self._file, 96, 0).split()[1]) / _NANOSECONDS
        except (OSError, IndexError, ValueError):  # a sandbox's own idea of the file
            self.close()
            return 0.0

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
