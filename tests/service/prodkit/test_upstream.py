"""The client of an upstream, against a real HTTP server that behaves as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from prodkit import correlation
from prodkit.breaker import Breaker, BreakerPolicy, BreakerState
from prodkit.bulkhead import Bulkhead, BulkheadFullError, unavailable, watch_bulkheads
from prodkit.retry import RetryBudget
from prodkit.upstream import Upstream, UpstreamError, UpstreamMetrics
from tests.service.processes import eventually


class Peer:
    """An HTTP server. `answers` has a status for each request in turn; 0 closes, -1 never answers."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                answer = self.answers.pop(0) if self.answers else 200
                if answer < 0:
                    await asyncio.sleep(60)
                if answer == 0:
                    return
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(peer.serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    yield peer
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def client(
    peer: Peer, registry: CollectorRegistry | None = None, *, seconds: float = 5, calls: int = 20
) -> AsyncIterator[Upstream]:
    metrics = UpstreamMetrics(registry or CollectorRegistry())
    breaker = Breaker("peer", BreakerPolicy(in_a_row=4))
    url = f"http://127.0.0.1:{peer.port}"
    async with Upstream(
        "peer", url, deadline_seconds=seconds, calls=calls, breaker=breaker, metrics=metrics
    ) as upstream:
        yield upstream


async def test_the_ids_of_the_request_go_along(peer: Peer) -> None:
    context = correlation.make_context(b"my-id", None)
    correlation.enter(context)
    async with client(peer) as upstream:
        assert (await upstream.get("/offers", params={"sku": "A-1"})).status_code == 200
    [head] = peer.requests
    assert head.startswith(b"GET /offers?sku=A-1 HTTP/1.1\r\n")
    assert b"x-request-id: my-id\r\n" in head.lower()
    assert f"traceparent: {context.traceparent}\r\n".encode() in head.lower()


@pytest.mark.parametrize("first", [0, 500, 503])
async def test_a_failure_is_tried_once_more(peer: Peer, first: int) -> None:
    peer.answers = [first]
    async with client(peer) as upstream:
        assert (await upstream.get("/")).status_code == 200
    assert len(peer.requests) == 2


async def test_what_the_caller_did_wrong_is_its_answer(peer: Peer) -> None:
    peer.answers = [404]
    async with client(peer) as upstream:
        assert (await upstream.get("/")).status_code == 404
    assert len(peer.requests) == 1


async def test_two_failures_are_an_error_and_more_open_the_breaker(peer: Peer) -> None:
    peer.answers = [500] * 4
    registry = CollectorRegistry()
    async with client(peer, registry) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamError, match="peer answered 500"):
                await upstream.get("/")
        with pytest.raises(UpstreamError, match="peer does not answer; the next attempt is in"):
            await upstream.get("/")
        assert upstream.breaker.state is BreakerState.OPEN
    assert len(peer.requests) == 4
    for outcome, calls in (("error", 2), ("rejected", 1), ("ok", 0)):
        labels = {"dependency": "peer", "outcome": outcome}
        assert registry.get_sample_value("dependency_duration_seconds_count", labels) == calls


async def test_an_answer_that_is_late_is_given_up_and_not_asked_for_again(peer: Peer) -> None:
    peer.answers = [-1, -1]
    async with client(peer, seconds=0.1) as upstream:
        with pytest.raises(UpstreamError, match=r"peer did not answer within 0\.1 s"):
            await upstream.get("/")
        assert len(upstream.breaker._calls) == 1  # it speaks against the upstream
    assert len(peer.requests) == 1


async def test_one_that_is_not_there_is_an_error() -> None:
    async with client(Peer()) as upstream:
        with pytest.raises(UpstreamError, match="peer cannot be asked: ConnectError"):
            await upstream.get("/")


async def test_more_calls_than_places_are_turned_away(peer: Peer) -> None:
    peer.answers = [-1]
    async with client(peer, calls=1) as upstream:
        slow = asyncio.create_task(upstream.get("/"))

        async def asked() -> bool:
            return bool(peer.requests)

        await eventually(asked, what="the first call")
        with pytest.raises(UpstreamError, match="1 calls to peer are under way"):
            await upstream.get("/")
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert (await upstream.get("/")).status_code == 200


async def test_a_place_comes_back_whatever_happens() -> None:
    registry = CollectorRegistry()
    bulkhead = Bulkhead("peer", calls=2, wait_seconds=0.01)
    watch_bulkheads(registry, [bulkhead])
    for error in (LookupError, asyncio.CancelledError):
        with pytest.raises(error):
            async with bulkhead.place():
                raise error
    async with bulkhead.place(), bulkhead.place():
        assert registry.get_sample_value("bulkhead_in_use", {"dependency": "peer"}) == 2
        with pytest.raises(BulkheadFullError):
            async with bulkhead.place():
                pytest.fail("there is no third place")
    assert registry.get_sample_value("bulkhead_in_use", {"dependency": "peer"}) == 0
    assert registry.get_sample_value("bulkhead_rejected", {"dependency": "peer"}) == 1


@given(st.lists(st.booleans(), max_size=500))
def test_retries_are_at_most_a_tenth_of_the_calls_and_the_reserve(failures: list[bool]) -> None:
    budget, retries = RetryBudget(), 0
    for failed in failures:
        budget.earn()
        retries += failed and budget.spend()
    assert retries <= 10 + len(failures) / 10
    assert 0 <= budget.fill <= 1


def test_a_caller_is_told_when_to_come_again() -> None:
    assert unavailable("database", retry_seconds=2.1).headers == {"Retry-After": "3"}
    assert unavailable("database", retry_seconds=0).headers == {"Retry-After": "1"}
