"""One HTTP client per upstream service: a deadline, one retry, a breaker, a bulkhead, the request's ids.

    async with Upstream("pricing", "http://pricing:8000", registry=app.metrics.registry) as pricing:
        reply = await pricing.get("/offers", params={"sku": "LAMP-001"})

This is the only module that knows the HTTP library.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client import CollectorRegistry, Gauge, Histogram

from prodkit.breaker import Breaker, BreakerOpenError
from prodkit.bulkhead import Bulkhead, BulkheadFullError
from prodkit.correlation import propagation_headers
from prodkit.retry import RetryBudget

Reply = httpx.Response
_OUTCOMES = ("ok", "error", "timeout", "rejected")


class UpstreamError(Exception):
    """The upstream gave no usable answer: it is down, late, overloaded, or known to be so."""


class UpstreamMetrics:
    """Metrics of all upstreams of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "dependency_duration_seconds",
            "Time of a call to a dependency with its retry",
            ("dependency", "outcome"),
            buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=registry,
        )
        self.budget = Gauge("retry_budget_ratio", "Retries left, 0 to 1", ("dependency",), registry=registry)


class Upstream:
    """Client of one upstream. Use it as an async context manager."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        deadline_seconds: float = 1.0,
        calls: int = 20,
        breaker: Breaker | None = None,
        metrics: UpstreamMetrics | None = None,
    ) -> None:
        self.name = name
        self.breaker = breaker or Breaker(name)
        self.bulkhead = Bulkhead(name, calls=calls)
        self.budget = RetryBudget()
        self._deadline = deadline_seconds
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(deadline_seconds, connect=min(1.0, deadline_seconds), pool=0.2),
            limits=httpx.Limits(max_connections=calls, max_keepalive_connections=calls, keepalive_expiry=30),
            follow_redirects=False,
            trust_env=False,  # a proxy variable meant for something else must not see internal calls
        )
        metrics = metrics or UpstreamMetrics(CollectorRegistry())
        metrics.budget.labels(name).set_function(lambda: self.budget.fill)
        self._seconds = {outcome: metrics.seconds.labels(name, outcome) for outcome in _OUTCOMES}

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Reply:
        """GET, tried a second time when that is safe and there is time and budget left.

        Returns any answer below 500; raises UpstreamError otherwise, within the deadline.
        """
        begun = time.perf_counter()
        outcome = "error"
        try:
            reply = await self._get_twice(path, params, asyncio.get_running_loop().time() + self._deadline)
            outcome = "ok"
        except (BreakerOpenError, BulkheadFullError) as error:
            outcome = "rejected"
            raise UpstreamError(str(error)) from None
        except (TimeoutError, httpx.TimeoutException):
            outcome = "timeout"
            raise UpstreamError(f"{self.name} did not answer within {self._deadline:g} s") from None
        except httpx.HTTPError as error:
            raise UpstreamError(f"{self.name} cannot be asked: {type(error).__name__}") from None
        finally:
            self._seconds[outcome].observe(time.perf_counter() - begun)
        return reply

    async def _get_twice(self, path: str, params: Mapping[str, Any] | None, deadline: float) -> Reply:
        self.budget.earn()
        try:
            return await self._get_once(path, params, deadline)
        except (
            httpx.NetworkError,
            httpx.RemoteProtocolError,
            UpstreamError,
        ):  # a time-out has used up the time
            if not self.budget.spend():
                raise
        await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311  jitter, not a secret
        return await self._get_once(path, params, deadline)

    async def _get_once(self, path: str, params: Mapping[str, Any] | None, deadline: float) -> Reply:
        async with self.bulkhead.place():
            # The deadline is inside of the breaker: a time-out speaks against the upstream, a caller that
            # goes away does not.
            with self.breaker.call():
                async with asyncio.timeout_at(deadline):
                    reply = await self._client.get(path, params=params, headers=propagation_headers())
                if reply.status_code >= 500:
                    raise UpstreamError(f"{self.name} answered {reply.status_code}")
                return reply
