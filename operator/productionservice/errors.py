"""Errors of the operator, one tree. What is raised decides what the next pass does.

OperatorError
├── Permanent            nothing changes until somebody edits an object: no retry, a condition says what to edit
│   ├── InvalidSpec      the ProductionService cannot be read or rendered
│   ├── NotOwned         an object of that name belongs to somebody else
│   └── Rejected         the API server or an admission policy refuses a child (HTTP 400, 403 or 422)
├── Waiting              something has to happen elsewhere first: come back quietly, no back-off
│   └── Unserved         the cluster does not serve a kind of child, or not to us
└── Transient            try again with back-off (time-outs, HTTP 409, 429 and 5xx, lost connections)
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of every error that the operator raises on purpose."""


class Permanent(OperatorError):
    """Trying again changes nothing; an object has to be edited."""


class InvalidSpec(Permanent):
    """The ProductionService cannot be read or rendered. `problems` has one line per fault: `field: what to write`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NotOwned(Permanent):
    """An object of the wanted name exists and is not ours. It is never touched."""


class Rejected(Permanent):
    """The API server refuses a write for good. `status` is the HTTP status, `reason` its machine-readable reason."""

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Waiting(OperatorError):
    """Something else has to happen first. `seconds` is when to look again; None when an event will certainly say so."""

    def __init__(self, message: str, *, seconds: float | None = 30.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Unserved(Waiting):
    """A kind that the cluster does not serve (its CRD is not installed), or that the operator may not list.

    Only the child of that kind is missing: it keeps nothing else back. An event says when that changes.
    """

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message, seconds=None)
        self.forbidden = forbidden


class Transient(OperatorError):
    """Likely to work later. `retry_after` (seconds) is what the server asked for, if it did."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
