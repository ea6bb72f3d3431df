"""What kopf is for: the stream of ProductionServices, login, start and end. Nothing here decides or writes.

Only `on.event` handlers: any other kind makes kopf patch the object, and would keep two replicas from running
side by side (ADR 0001). A test fails when another kind is registered.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import kopf

from productionservice.api import GROUP, PLURAL, VERSION
from productionservice.engine.login import Login

REGISTRY = kopf.OperatorRegistry()


@dataclass(frozen=True)
class Shell:
    """What the handlers pass things on to."""

    login: Login
    on_event: Callable[[str | None, dict[str, Any]], None]
    drain: Callable[[], Awaitable[None]]
    take_signals: Callable[[], None] = lambda: None
    """Called when kopf has taken over SIGTERM and SIGINT."""


@dataclass(frozen=True)
class _Connection(kopf.ConnectionInfo):
    """kopf's connection with the TLS settings of our own client."""

    tls: ssl.SSLContext | None = None

    def as_ssl_context(self) -> ssl.SSLContext:
        return self.tls or super().as_ssl_context()


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: no handler of ours needs the last-handled state, and copying each body costs a quarter of CPU."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing: handlers that only look have no progress."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


@kopf.on.event(GROUP, VERSION, PLURAL, registry=REGISTRY)
async def service_event(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
    """A ProductionService was listed (type None), added, modified or deleted."""
    body: Any = event["object"]
    memo.on_event(event["type"], dict(body))
    # kopf's views of an event refer to each other: they stay until somebody looks for cycles. Without what is large in
    # them, since nobody reads them any more: an hour of edits left tens of MB behind.
    body.update(spec={}, status={})
    body["metadata"].pop("managedFields", None)


@kopf.on.login(registry=REGISTRY)
def login(memo: Any, **_: Any) -> kopf.ConnectionInfo:
    """The same credentials as our own client; asked again when the API server refuses a token."""
    found: Login = memo.login
    return _Connection(server=found.server, token=found.token(), tls=found.ssl_context())


@kopf.on.startup(registry=REGISTRY)
async def startup(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Settings that were measured; the reasons are in ADR 0001."""
    memo.take_signals()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 50  # bodies that wait for their handler are in memory all at once
    settings.queueing.worker_limit, settings.queueing.idle_timeout = 100, 0.1
    settings.networking.request_timeout, settings.networking.connect_timeout = 30, 5
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55)
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()


@kopf.on.cleanup(registry=REGISTRY)
async def cleanup(memo: Any, **_: Any) -> None:
    """The stream has ended: let running passes finish while everything they need is still alive."""
    await memo.drain()
