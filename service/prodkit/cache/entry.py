"""One kept value, and its form in the shared store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_VERSION = b"1"


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A value and its times (seconds of the process's clock)."""

    value: T
    soft_until: float
    hard_until: float
    load_seconds: float = 0.0
    """How long the load took: a measure for the next lease."""
    size: int = 1
    """What it counts in the bound of the local memory: bytes, or 1 where nobody knows."""


def encode(entry: Entry[bytes], started: int) -> bytes:
    """The entry as the store keeps it. `started` is the store's own time (µs) before the load began.

    The scripts of the store read the first two fields; see `redis_store`.
    """
    head = b"%s %d %d %d %d\n" % (
        _VERSION,
        started,
        round(entry.soft_until * 1000),
        round(entry.hard_until * 1000),
        round(entry.load_seconds * 1000),
    )
    return head + entry.value


def decode(stored: bytes | None) -> Entry[bytes] | None:
    """The entry, or None when there is none, it was forgotten, or another version wrote it."""
    head, found, payload = (stored or b"").partition(b"\n")
    fields = head.split(b" ")
    if not found or len(fields) != 5 or fields[0] != _VERSION:
        return None
    try:
        _, soft, hard, load = (int(field) / 1000 for field in fields[1:])
    except ValueError:
        return None
    return Entry(payload, soft, hard, load, len(payload))
