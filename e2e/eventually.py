"""Waiting for the world to become as it should, instead of sleeping and hoping."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

import httpx

T = TypeVar("T")
_MAY_PASS = (AssertionError, LookupError, OSError, httpx.HTTPError, subprocess.CalledProcessError)


def eventually(check: Callable[[], T], *, timeout: float = 30.0, interval: float = 0.2) -> T:
    """Call `check` until it returns without an error, and return its value.

    Only what may get better by waiting is waited for: failed assertions, missing keys, refused connections, requests
    without a good answer and failed commands. After `timeout` seconds the last such error is raised, with the time in
    its notes.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return check()
        except _MAY_PASS as error:
            if time.monotonic() > deadline:
                error.add_note(f"still so after {timeout:.0f} s")
                raise
        time.sleep(interval)
