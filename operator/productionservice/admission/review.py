"""The AdmissionReview of the API server, version v1: what it asks and what it wants to hear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Advise = Callable[[Mapping[str, Any]], list[str]]
"""From an object to the warnings about it."""


class BadReview(Exception):
    """What was sent is no AdmissionReview. The message says what is missing."""


def answer(review: Any, advise: Advise) -> dict[str, Any]:
    """The answer to one review: always allowed, with the warnings that kubectl prints. Raises BadReview."""
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or not request.get("uid"):
        raise BadReview("no AdmissionReview: request.uid is missing")
    body = request.get("object")
    warnings = advise(body) if isinstance(body, dict) else []  # a delete has none, and nothing to be told
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": request["uid"],
            "allowed": True,
            **({"warnings": warnings} if warnings else {}),
        },
    }
