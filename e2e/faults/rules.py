"""Which request a fault hits, and what it does to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_PATH = re.compile(
    r"^/apis?/(?:(?P<group>[^/]+\.[^/]+|apps|batch|policy|autoscaling)/)?(?P<version>v[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)
WRITES = frozenset({"create", "update", "apply", "patch", "delete"})


@dataclass(frozen=True)
class Call:
    """One request, in Kubernetes' words."""

    verb: str
    """get, list, watch, create, update, apply, patch or delete."""
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    manager: str = ""
    """Field manager of a write."""
    metadata_only: bool = False
    """True for a read that asks for names and versions only."""

    @property
    def writes(self) -> bool:
        """True when it may change something."""
        return self.verb in WRITES

    def __str__(self) -> str:
        what = "/".join(part for part in (self.resource, self.name, self.subresource) if part)
        return f"{self.verb} {what}"

    @classmethod
    def of(cls, method: str, path: str, query: dict[str, str], content_type: str, accept: str = "") -> Call:
        """From an HTTP request. What is no object's path gets its path as the resource."""
        found = _PATH.match(path)
        if not found:
            return cls(method.lower(), path)
        name, subresource = found["name"] or "", found["subresource"] or ""
        match method:
            case "GET":
                verb = "watch" if query.get("watch") else "get" if name else "list"
            case "PATCH":
                verb = "apply" if "apply-patch" in content_type else "patch"
            case _:
                verb = {"POST": "create", "PUT": "update", "DELETE": "delete"}.get(method, method.lower())
        where = found["namespace"] or ""
        return cls(
            verb,
            found["resource"],
            where,
            name,
            subresource,
            query.get("fieldManager", ""),
            "as=Partial" in accept,
        )


class Reset(Exception):
    """Drop the connection without an answer."""


class Fault:
    """Does nothing; each kind of fault overrides what it needs. May block: each request has a thread of its own."""

    def before(self, call: Call) -> Answer | None:
        """Before the request goes on: an answer that is given instead, or Reset."""

    def after(self, call: Call) -> None:
        """After the API server has answered, before the operator hears of it: may raise Reset."""

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """What the operator sees of a watch."""
        yield from lines


@dataclass
class Answer(Fault):
    """Answer in the API server's place."""

    status: int
    reason: str = ""
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)

    def before(self, call: Call) -> Answer:  # noqa: ARG002 - the same for every call
        return self


@dataclass
class Do(Fault):
    """Call something before the request goes on, and after it was answered."""

    first: Callable[[Call], None] = lambda _: None
    then: Callable[[Call], None] = lambda _: None

    def before(self, call: Call) -> None:
        self.first(call)

    def after(self, call: Call) -> None:
        self.then(call)


def reset(_: Call) -> None:
    """For Do: drop the connection."""
    raise Reset


@dataclass
class Stream(Fault):
    """Rewrite the lines of a watch."""

    rewrite: Callable[[Iterable[bytes]], Iterator[bytes]]

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        return self.rewrite(lines)


@dataclass
class Rule:
    """A fault and the requests that it hits: those that match all that is given, from the `nth` on, `times` times."""

    fault: Fault
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None
    writes: bool = False
    nth: int = 1
    times: int | None = 1
    """None: always."""
    when: Callable[[Call], bool] = lambda _: True
    seen: int = 0
    hits: int = 0

    def matches(self, call: Call) -> bool:
        """Count the request, and say whether it is hit."""
        if not self._fits(call):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True

    def _fits(self, call: Call) -> bool:
        given: dict[str, Any] = {
            "verb": self.verb, "resource": self.resource, "namespace": self.namespace, "name": self.name,
        }  # fmt: skip
        return (
            all(not value or getattr(call, key) == value for key, value in given.items())
            and (self.subresource is None or call.subresource == self.subresource)
            and (not self.writes or (call.writes and call.resource not in {"leases", "events"}))
            and self.when(call)
        )
