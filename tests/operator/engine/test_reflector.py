"""The reflector keeps a store equal to the server through every way in which a watch can break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from productionservice.engine import reflector as reflector_module
from productionservice.engine.reflector import Reflector
from productionservice.engine.store import Delta, Store
from productionservice.errors import Rejected
from tests.operator.engine.fake_api import THINGS, FakeApi, answer, eventually, reset


class Watched:
    """A reflector at work on a fake server."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.store: Store[dict[str, Any]] = Store(lambda body, _: dict(body), lambda _: ())
        self.deltas: list[Delta[dict[str, Any]]] = []
        self.reflector: Reflector[dict[str, Any]] | None = None

    @contextlib.asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Reflector[dict[str, Any]]]:
        async with self.api.client() as client:
            reflector = Reflector(client, THINGS, self.store, self.deltas.append, selector="app", **options)
            task = asyncio.create_task(reflector.run())
            try:
                async with asyncio.timeout(10):
                    await reflector.synced.wait()
                yield reflector
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def settled(self) -> None:
        """The store has what the server has, versions included."""
        await eventually(
            lambda: self.held() == {n: b["metadata"]["resourceVersion"] for n, b in self.api.objects.items()}
        )

    def held(self) -> dict[str, str]:
        bodies = {name[1]: self.store.get(name) for name in self.store.names()}
        return {name: body["metadata"]["resourceVersion"] for name, body in bodies.items() if body}

    def deleted(self) -> list[str]:
        return [delta.name[1] for delta in self.deltas if delta.new is None]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(reflector_module, "BACKOFF_FIRST", 0.01)
    return Watched()


async def test_lists_all_pages_and_follows_changes(watched: Watched) -> None:
    for name in "abcde":
        watched.api.put(name)
    async with watched.running():
        await watched.settled()
        watched.api.put("a")
        watched.api.delete("b")
        watched.api.put("f")
        await watched.settled()

    assert watched.api.seen[:3] == ["list"] * 3
    assert watched.deleted() == ["b"]


async def test_a_cut_watch_goes_on_where_it_was_without_listing_again(watched: Watched) -> None:
    async with watched.running():
        watched.api.put("a")
        await watched.settled()
        watched.api.cut()
        watched.api.put("b")
        await watched.settled()

    assert watched.api.seen.count("list") == 1
    assert [delta.name[1] for delta in watched.deltas] == ["a", "b"]


async def test_deletions_that_were_missed_are_made_up_after_410(watched: Watched) -> None:
    for name in "abc":
        watched.api.put(name)
    async with watched.running():
        await eventually(lambda: watched.api.watching == 1)
        watched.api.cut()
        watched.api.delete("b")
        watched.api.put("d")
        watched.api.forget_history()
        await watched.settled()

    assert watched.deleted() == ["b"]


@pytest.mark.parametrize(
    "fault", [answer(500), answer(503), answer(429, headers={"Retry-After": "0"}), reset]
)
async def test_a_server_that_is_down_is_asked_again(watched: Watched, fault: Any) -> None:
    watched.api.put("a")
    watched.api.lists.extend([fault] * 4)
    watched.api.watches.extend([fault] * 4)
    async with watched.running():
        watched.api.put("b")
        await watched.settled()


async def test_a_broken_event_in_the_stream_does_not_end_it_for_good(watched: Watched) -> None:
    async with watched.running():
        await eventually(lambda: watched.api.watching == 1)
        watched.api.send({"type": "ERROR", "object": {"code": 500, "message": "storage is busy"}})
        watched.api.put("a")
        await watched.settled()


async def test_a_bookmark_moves_the_place_to_go_on_from(watched: Watched) -> None:
    async with watched.running():
        await eventually(lambda: watched.api.watching == 1)
        watched.api.send({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}})
        watched.api.version = 77
        watched.api.send({"type": "ERROR", "object": {"code": 500}})
        await eventually(lambda: "watch 77" in watched.api.seen)


async def test_a_silent_watch_is_given_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("productionservice.engine.client.SILENCE_SECONDS", 0.05)

    async def blackhole(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await eventually(lambda: watched.api.seen.count("watch 10") > 1)
        return response

    watched.api.watches.append(blackhole)
    async with watched.running():
        await eventually(lambda: watched.api.watching == 1)
        watched.api.put("a")
        await eventually(lambda: "a" in watched.held())


async def test_long_objects_pass(watched: Watched) -> None:
    async with watched.running():
        await eventually(lambda: watched.api.watching == 1)
        watched.api.version += 1
        body = {
            "metadata": {
                "name": "big",
                "namespace": "shop",
                "uid": "u",
                "resourceVersion": "99",
                "labels": {},
            }
        }
        watched.api.send({"type": "ADDED", "object": {**body, "data": "x" * 1_000_000}})
        await eventually(lambda: "big" in watched.held())


async def test_age_tells_how_long_the_server_has_been_silent(watched: Watched) -> None:
    async with watched.running() as reflector:
        before = reflector.age
        await eventually(lambda: reflector.age > before)
        watched.api.put("a")
        await watched.settled()
        assert reflector.age < 5


async def test_a_kind_that_is_not_served_is_forgotten_and_found_when_it_comes(watched: Watched) -> None:
    watched.api.put("a")
    served: list[bool] = []
    async with watched.running() as reflector:
        await watched.settled()
        reflector.on_served = lambda: served.append(reflector.unserved is None)
        watched.api.watches.append(answer(404))
        watched.api.cut()
        await eventually(lambda: served == [False])
        assert watched.held() == {}
        assert reflector.age == 0

        watched.api.lists.append(answer(403))
        reflector.maybe_served.set()
        await eventually(lambda: served == [False, False])
        assert isinstance(reflector.unserved, Rejected)

        reflector.maybe_served.set()
        await eventually(lambda: served == [False, False, True])
        await watched.settled()


async def test_a_crd_that_changes_during_a_look_in_vain_makes_the_next_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reflector_module, "jitter", lambda _low, _high: 1000.0
    )  # nothing else wakes it in time
    watched.api.put("a")

    async def established_meanwhile(request: web.Request) -> web.StreamResponse:
        assert watched.reflector is not None
        watched.reflector.maybe_served.set()
        return await answer(404)(request)

    watched.api.lists.append(established_meanwhile)
    async with watched.api.client() as client:
        watched.reflector = Reflector(client, THINGS, watched.store, watched.deltas.append)
        task = asyncio.create_task(watched.reflector.run())
        await eventually(lambda: "a" in watched.held())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_kind_that_is_not_served_at_start_keeps_nobody_waiting(watched: Watched) -> None:
    watched.api.lists.append(answer(403))
    async with watched.running() as reflector:
        assert reflector.synced.is_set()
        assert reflector.unserved is not None


async def test_what_a_watch_lost_without_a_word_is_found_by_the_next_list(watched: Watched) -> None:
    watched.api.put("a")
    async with watched.running(relist_seconds=0.5):
        await watched.settled()
        del watched.api.objects["a"]  # no event says so

        def found() -> bool:
            watched.api.cut()  # what a real server does when the time of a watch is over
            return watched.held() == {}

        await eventually(found)
