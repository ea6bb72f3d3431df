"""Objects of one kind in memory, as informers and our own writes saw them last. Never goes back in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Name = tuple[str, str]
"""Namespace and name."""
Group = tuple[str, ...]
"""What objects are looked up by together, such as ("service", namespace, name)."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One object: what is kept of it, and which version of it that is."""

    uid: str
    version: int
    value: T
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Delta(Generic[T]):
    """One change of the store. `old` is None for a new object, `new` for one that is gone."""

    name: Name
    old: Entry[T] | None
    new: Entry[T] | None

    @property
    def groups(self) -> set[Group]:
        """Groups that are concerned, before or after."""
        return {group for entry in (self.old, self.new) if entry for group in entry.groups}


def ungrouped(_body: Mapping[str, Any]) -> tuple[Group, ...]:
    """Found by their names only."""
    return ()


class Store(Generic[T]):
    """`project` says what is kept of a body, given what is kept so far; `group` under what it is found."""

    def __init__(
        self,
        project: Callable[[Mapping[str, Any], T | None], T],
        group: Callable[[Mapping[str, Any]], tuple[Group, ...]] = ungrouped,
    ) -> None:
        self._project, self._group = project, group
        self._entries: dict[Name, Entry[T]] = {}
        self._members: dict[Group, tuple[Name, ...]] = {}  # sorted; most groups have one or a few
        self._groups: dict[Group, Group] = {}  # one copy of each, shared by its members
        self._told: dict[str | None, int] = {}  # up to which version, by namespace that is watched

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: Name) -> T | None:
        """What is kept of one object, None when there is none."""
        entry = self._entries.get(name)
        return entry.value if entry else None

    def version(self, name: Name) -> int:
        """Resource version of one object, 0 when there is none."""
        entry = self._entries.get(name)
        return entry.version if entry else 0

    def amend(self, name: Name, change: Callable[[T], T]) -> None:
        """Keep something else of an object. Its version stays: nothing has happened to it."""
        entry = self._entries.get(name)
        if entry is not None:
            self._entries[name] = Entry(entry.uid, entry.version, change(entry.value), entry.groups)

    def versions(self, group: Group) -> tuple[tuple[Name, int], ...]:
        """Names and versions of the objects of a group, by name."""
        members = self._members.get(group)
        return tuple((name, self._entries[name].version) for name in members) if members else ()

    def names(self) -> list[Name]:
        """All objects."""
        return list(self._entries)

    def members(self, group: Group) -> list[tuple[Name, T]]:
        """The objects of a group, by name."""
        return [(name, self._entries[name].value) for name in self._members.get(group, ())]

    def put(
        self, body: Mapping[str, Any], project: Callable[[Mapping[str, Any], T | None], T] | None = None,
        *, listed_at: str = "",
    ) -> Delta[T] | None:  # fmt: skip
        """Take in an object. None when it is not newer than what is known: an echo, or a late answer.

        `project` stands in for the store's own where more is known of this body. `listed_at` is the version of the
        list that it comes from. Such a list has the newest of each object: one that is older than what was known
        before the list was made is what a restored backup has of it, and is taken in as well.
        """
        metadata = body["metadata"]
        name, version = name_of(metadata), _version(metadata)
        old = self._entries.get(name)
        if old is not None and version <= old.version:
            restored = listed_at and version < old.version <= _number(listed_at)
            if not restored:
                return None
        same = old is not None and old.uid == metadata["uid"]
        value = (project or self._project)(body, old.value if old and same else None)
        groups = tuple(self._groups.setdefault(group, group) for group in self._group(body))
        entry = Entry(metadata["uid"], version, value, groups)
        if old is None or old.groups != groups:
            self._forget(name)
            for group in groups:
                self._groups[group] = group
                self._members[group] = tuple(sorted((*self._members.get(group, ()), name)))
        self._entries[name] = entry
        return Delta(name, old, entry)

    def reached(self, version: int, namespace: str | None) -> None:
        """All that happened up to this version has been told; with a `namespace`, in that one only."""
        self._told[namespace] = version

    def answer(
        self, body: Mapping[str, Any], project: Callable[[Mapping[str, Any], T | None], T]
    ) -> Delta[T] | None:
        """Take in the answer to a write of our own, which may come after all that the watch has to say about it.

        An object that is not known, though everything up to its version has been told, is gone again: nobody would tell
        so once more.
        """
        name = name_of(body["metadata"])
        told = max(self._told.get(None, 0), self._told.get(name[0], 0))
        if name not in self._entries and _version(body["metadata"]) <= told:
            return None
        return self.put(body, project)

    def renew(self, body: Mapping[str, Any]) -> Delta[T] | None:
        """Take in the answer to a write to what is known. What is not known any more is gone, and stays so."""
        return self.put(body) if name_of(body["metadata"]) in self._entries else None

    def remove(self, body: Mapping[str, Any]) -> Delta[T] | None:
        """Take note that an object is gone. None when it is not known, or a newer one is."""
        metadata = body["metadata"]
        return self.discard(name_of(metadata), before=_version(metadata))

    def discard(self, name: Name, *, before: int) -> Delta[T] | None:
        """Drop an object unless it is newer than version `before`."""
        old = self._entries.get(name)
        if old is None or old.version > before:
            return None
        self._forget(name)
        return Delta(name, old, None)

    def clear(self, namespace: str | None) -> list[Delta[T]]:
        """Forget all objects, or those of one namespace: the kind is no longer served."""
        names = [name for name in self._entries if namespace is None or name[0] == namespace]
        deltas = [self.discard(name, before=self._entries[name].version) for name in names]
        return [delta for delta in deltas if delta is not None]

    def rewind(self) -> None:
        """The API server's own memory went back (a restored backup): whatever it says next is news."""
        self._entries = {name: replace(entry, version=0) for name, entry in self._entries.items()}
        self._told.clear()

    def retain(self, listed: Collection[Name], version: str, namespace: str | None) -> list[Delta[T]]:
        """After a complete list made at `version`: what is not in it, and not newer, has been deleted meanwhile.

        Without this, objects deleted while a watch was interrupted would stay for ever. With a `namespace` the list
        was of that one only.
        """
        at = _number(version)
        gone = [n for n in self._entries if n not in listed and (namespace is None or n[0] == namespace)]
        deltas = [self.discard(name, before=at) for name in gone]
        return [delta for delta in deltas if delta is not None]

    def _forget(self, name: Name) -> None:
        entry = self._entries.pop(name, None)
        for group in entry.groups if entry else ():
            members = tuple(member for member in self._members[group] if member != name)
            if members:
                self._members[group] = members
            else:
                del self._members[group], self._groups[group]


def name_of(metadata: Mapping[str, Any]) -> Name:
    """Name of the object with this metadata; one without a namespace has an empty one."""
    # Interned, as the same few texts are in thousands of objects.
    return (sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"]))


def _version(metadata: Mapping[str, Any]) -> int:
    return _number(metadata["resourceVersion"])


def _number(version: str) -> int:
    """Resource versions are comparable as numbers (Kubernetes 1.35 says so; etcd's always were)."""
    return int(version)
