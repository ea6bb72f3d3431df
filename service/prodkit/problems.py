"""Errors as `application/problem+json` (RFC 9457) that tell the caller what to change and nothing else.

`Problem` is the exception to raise; everything else that goes wrong becomes a 500 without details: the
log line with the same request id has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from prodkit import correlation

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One field that cannot be used."""

    field: str = Field(examples=["body.priceCents"])
    message: str = Field(examples=["Input should be greater than or equal to 0"])


class ProblemBody(BaseModel):
    """Body of every error response."""

    type: str = Field(default="about:blank", examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(default="", examples=["1 field cannot be used"])
    request_id: str = Field(default="", examples=["019aaf0d2c1e7b1f3c5d8e9fa0b1c2d3"])
    errors: list[FieldProblem] = []


class Problem(HTTPException):
    """Answer with this status. `detail` is for the caller: say what to do, never what is inside."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors)


def problem_body(
    status: int, detail: str = "", errors: Sequence[tuple[str, str]] = (), *, request_id: str = ""
) -> bytes:
    """The JSON of a problem, with the given or the current request's id."""
    context = correlation.current()
    request_id = request_id or (context.request_id if context is not None else "")
    body: dict[str, Any] = {"type": "about:blank", "title": title(status), "status": status}
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = [{"field": field, "message": message} for field, message in errors]
    if request_id:
        body["request_id"] = request_id
    return orjson.dumps(body)


def title(status: int) -> str:
    """The standard phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem, and say so in its OpenAPI description."""

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for exactly this class
        detail = "" if error.detail == title(error.status_code) else str(error.detail)
        return _response(error.status_code, detail, getattr(error, "errors", ()), error.headers)

    async def on_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for exactly this class
        errors = [(_field_name(problem["loc"]), str(problem["msg"])) for problem in error.errors()]
        return _response(422, f"{len(errors)} field{'s' * (len(errors) != 1)} cannot be used", errors)

    async def on_anything(_request: Request, _error: Exception) -> Response:
        return _response(500)  # the telemetry layer logs the exception with the request id

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(Exception, on_anything)
    app.router.responses = {
        422: {"model": ProblemBody, "description": "A field cannot be used; `errors` names it"},
        "default": {"model": ProblemBody, "description": "Any other error"},
        **app.router.responses,
    }


def describe(openapi: dict[str, Any]) -> dict[str, Any]:
    """Give the problems in an OpenAPI description their media type; FastAPI writes that of the route."""
    for operations in openapi.get("paths", {}).values():
        for operation in operations.values():
            for response in operation.get("responses", {}).values():
                content = response.get("content", {})
                schema = content.get("application/json", {}).get("schema", {})
                if schema.get("$ref", "").endswith(f"/{ProblemBody.__name__}"):
                    content[MEDIA_TYPE] = content.pop("application/json")
    return openapi


def _field_name(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location)


def _response(
    status: int,
    detail: str = "",
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    if status in (204, 304):
        return Response(status_code=status, headers=dict(headers or {}))
    return Response(problem_body(status, detail, errors), status, dict(headers or {}), MEDIA_TYPE)
