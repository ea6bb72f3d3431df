"""Kubernetes Events for people: transitions only, counted instead of repeated, and never in the way of a pass."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars

from productionservice import labels, metrics
from productionservice.engine.answers import NotFound
from productionservice.engine.client import Body, Resource
from productionservice.errors import OperatorError
from productionservice.plan import Action, Applied

log = structlog.get_logger(__name__)

EVENTS = Resource("v1", "events")
POSTED, LIMITED = 1024, 4096
"""Events that are remembered for counting, and objects for limiting; the oldest are forgotten. What repeats does so
soon, and a cause that names a value seldom does at all."""
BURST, REFILL_SECONDS = 25, 300.0
"""Events for one object at once, and the time until it may have one more (client-go's spam filter)."""
QUEUE_LIMIT = 1000
MESSAGE_LIMIT = 1024
"""Characters; the API server refuses more."""

_REASONS = {Action.CREATED: "Created", Action.CONFIGURED: "Configured", Action.DELETED: "Deleted"}


class EventClient(Protocol):
    """What the recorder needs of the client."""

    async def post(self, resource: Resource, namespace: str, body: Body) -> Body: ...
    async def merge(self, resource: Resource, namespace: str, name: str, patch: Body) -> Body: ...


@dataclass(frozen=True)
class Note:
    """One thing to tell about one object."""

    about: tuple[tuple[str, str], ...]
    """Object reference: apiVersion, kind, name, namespace, uid."""
    warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Posted:
    name: str
    count: int


class Recorder:
    """`tell` never blocks and never fails; `run` posts in the background."""

    def __init__(
        self, client: EventClient, component: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._component, self._clock = client, component, clock
        self._queue: asyncio.Queue[tuple[Note, dict[str, Any]]] = asyncio.Queue(QUEUE_LIMIT)
        # By the note's hash, for its text is ten times as long; and by the object's UID.
        self._posted: OrderedDict[int, _Posted] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def tell(self, note: Note) -> None:
        """Queue one note, unless there are too many of them."""
        if self._queue.full() or not self._allowed(note):
            metrics.EVENTS_DROPPED.inc()
            return
        self._queue.put_nowait((note, get_contextvars()))  # lines about it are lines of its pass

    async def run(self) -> None:
        """Never returns; only cancelling ends it."""
        while True:
            note, context = await self._queue.get()
            try:
                await self._post(note)
            except OperatorError as error:
                metrics.EVENTS_DROPPED.inc()
                with bound_contextvars(**context):
                    log.info("an event was not posted", reason=note.reason, error=str(error))

    async def _post(self, note: Note) -> None:
        namespace, now = dict(note.about)["namespace"], _now()
        posted = self._posted.pop(hash(note), None)
        if posted is not None:
            again = replace(posted, count=posted.count + 1)
            # The API server forgets Events after an hour: then begin a new one.
            with contextlib.suppress(NotFound):
                patch = {"count": again.count, "lastTimestamp": now}
                await self._client.merge(EVENTS, namespace, again.name, patch)
                self._remember(note, again)
                return
        name = f"{dict(note.about)['name'][:200]}.{uuid.uuid4().hex[:16]}"
        await self._client.post(EVENTS, namespace, self._body(note, name, now))
        self._remember(note, _Posted(name, 1))

    def _body(self, note: Note, name: str, now: str) -> Body:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": dict(note.about)["namespace"]},
            "involvedObject": dict(note.about),
            "type": "Warning" if note.warning else "Normal",
            "reason": note.reason,
            "message": note.message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": labels.FIELD_MANAGER},
            "reportingComponent": labels.FIELD_MANAGER,
            "reportingInstance": self._component,
        }

    def _remember(self, note: Note, posted: _Posted) -> None:
        self._posted[hash(note)] = posted
        if len(self._posted) > POSTED:
            self._posted.popitem(last=False)

    def _allowed(self, note: Note) -> bool:
        """Token bucket of the object."""
        now, uid = self._clock(), dict(note.about)["uid"]
        tokens, at = self._tokens.pop(uid, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - at) / REFILL_SECONDS)
        self._tokens[uid] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        if len(self._tokens) > LIMITED:
            self._tokens.popitem(last=False)
        return tokens >= 1


def notes(
    body: Mapping[str, Any], applied: Applied, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Note]:
    """What a pass has to tell: one note an action, and one when Ready has changed."""
    about = about_service(body)
    told: list[Note] = []
    for action, reason in _REASONS.items():
        made = [r.change for r in applied.results if r.change.action is action and r.error is None]
        if made:
            message = "; ".join(f"{change.ref} ({change.cause})" for change in made)
            told.append(Note(about, warning=False, reason=reason, message=_cut(f"{action.value}: {message}")))
    return [*told, *readiness_notes(body, before, after)]


def readiness_notes(
    body: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Note]:
    """A note when status or reason of Ready has changed."""
    was, now = _ready(before), _ready(after)
    if not now or (was.get("status"), was.get("reason")) == (now.get("status"), now.get("reason")):
        return []
    return [
        Note(
            about_service(body),
            warning=now["status"] == "False",
            reason=now["reason"],
            message=_cut(f"Ready is {now['status']}: {now['message']}"),
        )
    ]


def about_service(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Reference to a ProductionService."""
    metadata = body["metadata"]
    return (
        ("apiVersion", body["apiVersion"]),
        ("kind", body["kind"]),
        ("name", metadata["name"]),
        ("namespace", metadata["namespace"]),
        ("uid", metadata["uid"]),
    )


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    conditions = status.get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == "Ready"), {})


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else f"{message[: MESSAGE_LIMIT - 1]}…"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
