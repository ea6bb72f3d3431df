"""One call makes an application from settings: FastAPI with everything around it that production needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.telemetry import TelemetryConfig
from fastapi.telemetry._asgi import ExceptionTelemetryMiddleware
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from prodkit import contract, problems
from prodkit.access import AccessLog
from prodkit.admin import create_admin, version_info
from prodkit.admission import Admission
from prodkit.fleet import Fleet
from prodkit.health import Check, Health
from prodkit.lifecycle import Lifecycle
from prodkit.limiter import Priority
from prodkit.metrics import Metrics
from prodkit.settings import Settings
from prodkit.telemetry import Telemetry

if TYPE_CHECKING:
    from prodkit.tracing import Tracing

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
Lifespan = Callable[["App"], AbstractAsyncContextManager[None]]


class App(FastAPI):
    """A FastAPI application and the parts that prodkit adds; made by `create_app`."""

    def __init__(
        self,
        settings: Settings,
        *,
        checks: Sequence[Check] = (),
        lifespan: Lifespan | None = None,
        access_log: AccessLog | None = None,
        priorities: Mapping[str, Priority] | None = None,
        fleet: Fleet | None = None,
        **fastapi: Any,
    ) -> None:
        self.settings = settings
        self.lifecycle = Lifecycle()
        self.health = Health(checks, lifecycle=self.lifecycle, fleet=fleet)
        self.metrics = Metrics(name=settings.name, version=settings.version, environment=settings.environment)
        self.health.register(self.metrics.registry)
        self.access_log = access_log
        self.tracing = _tracing(settings, self.metrics)
        self.admission = (
            Admission(self.metrics, access_log=access_log, priorities=priorities)
            if settings.overload_limit
            else None
        )
        self._inner_lifespan = lifespan
        super().__init__(
            title=fastapi.pop("title", settings.name),
            version=settings.version,
            docs_url=None,  # documentation lives on the admin port
            redoc_url=None,
            openapi_url=None,
            lifespan=_lifespan,
            telemetry=_NO_TELEMETRY,  # prodkit.tracing makes the span of a request
            **fastapi,
        )
        self._layer = Telemetry(
            self._handle,
            metrics=self.metrics,
            access_log=access_log,
            lifecycle=self.lifecycle,
            body_bytes=settings.body_bytes,
            limiter=self.admission.limiter if self.admission else None,
            tracing=self.tracing,
        )
        problems.install(self)
        self._last_resort = self.exception_handlers[Exception]
        self.add_api_route(contract.VERSION_PATH, self._version, methods=["GET"], include_in_schema=False)

    @property
    def admin(self) -> Starlette:
        """The application of the admin port."""
        return create_admin(
            self.settings,
            health=self.health,
            lifecycle=self.lifecycle,
            metrics=self.metrics,
            openapi=self.openapi,
        )

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description."""
        if self.openapi_schema is None:
            self.openapi_schema = problems.describe(super().openapi())
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Our layer goes outside of everything, also of the handler of last errors and of tracing."""
        if scope["type"] == "http":
            await self._layer(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Starlette's hook. Our layer answers last errors, so Starlette's has nothing to do unless told to."""
        stack = super().build_middleware_stack()
        unchanged = self.exception_handlers.get(Exception) is self._last_resort
        if isinstance(stack, ServerErrorMiddleware) and unchanged and 500 not in self.exception_handlers:
            inner = stack.app
            # FastAPI's telemetry is off, and its layer would only pass every exception on.
            return inner.app if isinstance(inner, ExceptionTelemetryMiddleware) else inner
        return stack

    def _handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """FastAPI's way to its middleware, without the questions that only tracing asks."""
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        return self.middleware_stack(scope, receive, send)

    async def _version(self) -> dict[str, str]:
        return version_info(self.settings)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        self.metrics.declare(_declared_routes(self))
        await self.health.check_once()
        watching = asyncio.create_task(self.health.run())
        if self.admission is not None:
            self.admission.start()
        self.lifecycle.mark_serving()
        try:
            yield
        finally:
            watching.cancel()
            if self.admission is not None:
                self.admission.stop()
            await asyncio.gather(watching, return_exceptions=True)
            if self.tracing is not None:
                await self.tracing.close()


def create_app(
    settings: Settings,
    *,
    checks: Sequence[Check] = (),
    lifespan: Lifespan | None = None,
    priorities: Mapping[str, Priority] | None = None,
    fleet: Fleet | None = None,
    **fastapi: Any,
) -> App:
    """Make an application.

    `checks` are the dependencies that decide readiness; `lifespan` opens and closes the service's own
    resources and runs before the first check. `priorities` (prefix of the path → class) say what is refused
    first, and last, when too many requests come. With `fleet` a dependency that is down for most replicas takes none of
    them out. Other arguments go to `FastAPI`.
    """
    fields = {"service": settings.name, "version": settings.version}
    log = AccessLog(fields) if settings.access_log else None
    return App(
        settings,
        checks=checks,
        lifespan=lifespan,
        access_log=log,
        priorities=priorities,
        fleet=fleet,
        **fastapi,
    )


def _tracing(settings: Settings, metrics: Metrics) -> Tracing | None:
    if not settings.otlp_endpoint:
        return None
    from prodkit.tracing import Tracing  # noqa: PLC0415  the SDK takes a quarter of a second to import

    resource = {
        "service.name": settings.name,
        "service.namespace": settings.namespace,
        "service.version": settings.version,
        "deployment.environment.name": settings.environment,
    }
    return Tracing(
        ratio=settings.trace_ratio,
        endpoint=settings.otlp_endpoint,
        resource={key: value for key, value in resource.items() if value},
        registry=metrics.registry,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, App)  # noqa: S101  only App passes this function on
    if app._inner_lifespan is None:  # noqa: SLF001  same module
        async with app._run():  # noqa: SLF001  same module
            yield
        return
    async with app._inner_lifespan(app), app._run():  # noqa: SLF001  same module
        yield


def _declared_routes(app: FastAPI) -> Iterator[tuple[str, str, int]]:
    for context in iter_route_contexts(app.routes):
        for method in sorted(getattr(context, "methods", None) or ()):
            yield method, str(getattr(context, "path", "")), getattr(context, "status_code", None) or 200
