"""The first level of a cache: recently used entries in this process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from prodkit.cache.entry import Entry

T = TypeVar("T")


class Memory(Generic[T]):
    """Entries by key, the least recently used go first when there are too many or they are too large."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, tuple[Entry[T], float]] = OrderedDict()
        self.bytes = 0
        """Sum of the entries' sizes."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> tuple[Entry[T], float] | None:
        """The entry and until when it may be believed without asking the shared store."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, entry: Entry[T], believed_until: float) -> None:
        """Keep an entry."""
        self.drop(key)
        self._entries[key] = (entry, believed_until)
        self.bytes += entry.size
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        """Forget an entry."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found[0].size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0
