"""From the API server's answers to our errors: the only place that knows HTTP status codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from productionservice.errors import OperatorError, Rejected, Transient

BUSY = 429
"""Too many requests."""
_TRY_AGAIN = frozenset({401, 408, BUSY})
"""401: the token may just have been rotated; the next request reads it again."""
_MESSAGE_LIMIT = 700
"""Characters of the server's message that are kept: some list every field of an object."""


class NotFound(Transient):
    """The object, its namespace or its kind is not there (HTTP 404)."""


class Conflict(Transient):
    """The object is not in the state, or not the very one, that the write was meant for (HTTP 409)."""


class Expired(Transient):
    """The resource version is too old: list again (HTTP 410)."""


def error_of(status: int, body: bytes, headers: Mapping[str, str], what: str) -> OperatorError:
    """The error for an answer that is no success. `what` is the request in words."""
    answer = _parse(body)
    message = f"{what}: {status} {str(answer.get('message') or body[:200].decode(errors='replace'))[:_MESSAGE_LIMIT]}"
    if status == 404:
        return NotFound(message)
    if status == 409 or _is_another_object(status, answer):
        return Conflict(message)
    if status == 410:
        return Expired(message)
    if status in _TRY_AGAIN or status >= 500:
        return Transient(message, retry_after=retry_after(headers))
    return Rejected(message, status=status, reason=str(answer.get("reason", "")))


def status_error(answer: Mapping[str, Any], what: str) -> OperatorError:
    """The error for a Status object inside a watch stream."""
    return error_of(int(answer.get("code") or 500), orjson.dumps(answer), {}, what)


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _is_another_object(status: int, answer: Mapping[str, Any]) -> bool:
    """A write with the UID of an object that another one has replaced: 422, but for us a lost race."""
    causes = (answer.get("details") or {}).get("causes") or []
    return status == 422 and any(cause.get("field") == "metadata.uid" for cause in causes)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, None when it does not."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
