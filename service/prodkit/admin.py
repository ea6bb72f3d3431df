"""The admin port: probes, metrics, version and the API's description. For the kubelet and monitoring only."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import orjson
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from prodkit import contract
from prodkit.health import Health
from prodkit.lifecycle import Lifecycle, Phase
from prodkit.metrics import Metrics
from prodkit.settings import Settings

_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_admin(
    settings: Settings,
    *,
    health: Health,
    lifecycle: Lifecycle,
    metrics: Metrics,
    openapi: Callable[[], dict[str, Any]] | None = None,
) -> Starlette:
    """The admin application. No handler does I/O, so that a probe answers while everything else is busy."""

    async def live(_request: Request) -> Response:
        # That this runs at all is the proof: a wedged event loop answers nothing. Dependencies have no say.
        return _json({"status": "ok"})

    async def startup(_request: Request) -> Response:
        started = lifecycle.phase is not Phase.STARTING
        return _json({"status": "ok" if started else "starting"}, 200 if started else 503)

    async def ready(request: Request) -> Response:
        group = request.path_params.get("group", "")
        if group and group not in health.groups():
            return _json({"status": "unknown group"}, 404)
        return _json(health.report(group), 200 if health.ready(group) else 503)

    async def scrape(request: Request) -> Response:
        body, content_type = metrics.expose(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, **_NO_STORE})

    async def version(_request: Request) -> Response:
        return _json(version_info(settings))

    routes = [
        Route(contract.LIVE_PATH, live),
        Route(contract.STARTUP_PATH, startup),
        Route(contract.READY_PATH, ready),
        Route(contract.READY_PATH + "/{group}", ready),
        Route(contract.METRICS_PATH, scrape),
        Route(contract.VERSION_PATH, version),
    ]
    return Starlette(routes=[*routes, *(_documentation(settings, openapi) if openapi else [])])


def version_info(settings: Settings) -> dict[str, str]:
    """What runs here; the body of `/version`."""
    return {
        "name": settings.name,
        "namespace": settings.namespace,
        "version": settings.version,
        "environment": settings.environment,
        "python": platform.python_version(),
    }


def _documentation(settings: Settings, openapi: Callable[[], dict[str, Any]]) -> list[Route]:
    async def description(_request: Request) -> Response:
        return _json(openapi())

    async def page(_request: Request) -> Response:
        return get_swagger_ui_html(openapi_url="openapi.json", title=settings.name)

    return [Route("/openapi.json", description), Route("/docs", page)]


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, _NO_STORE, "application/json")
