"""What the client makes of answers, and what it sends."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web

from productionservice.engine.answers import Conflict, Expired, NotFound
from productionservice.engine.client import Resource
from productionservice.errors import OperatorError, Rejected, Transient
from tests.operator.engine.fake_api import THINGS, FakeApi, answer, reset, thing


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (answer(400), Rejected),
        (answer(401), Transient),
        (answer(403, "admission webhook denied the request"), Rejected),
        (answer(404), NotFound),
        (answer(409), Conflict),
        (answer(410), Expired),
        (answer(413), Rejected),
        (answer(422), Rejected),
        (answer(422, details={"causes": [{"field": "metadata.uid"}]}), Conflict),
        (answer(429), Transient),
        (answer(500), Transient),
        (answer(504), Transient),
        (reset, Transient),
    ],
)
async def test_each_answer_has_its_fate(fault: Any, kind: type[OperatorError]) -> None:
    api = FakeApi()
    api.writes.append(fault)
    async with api.client() as client:
        with pytest.raises(OperatorError) as caught:
            await client.create(THINGS, thing("a"), manager="me")

    assert type(caught.value) is kind
    assert "PATCH /api/v1/namespaces/shop/services/a" in str(caught.value)


async def test_the_servers_words_and_its_wish_to_wait_are_kept() -> None:
    api = FakeApi()
    api.writes += [
        answer(403, "exceeded quota: pods", reason="Forbidden"),
        answer(429, headers={"Retry-After": "7"}),
    ]
    async with api.client() as client:
        with pytest.raises(Rejected, match="exceeded quota: pods") as refused:
            await client.create(THINGS, thing("a"), manager="me")
        with pytest.raises(Transient) as busy:
            await client.create(THINGS, thing("a"), manager="me")

    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
    assert busy.value.retry_after == 7


async def test_reads_are_tried_again_and_writes_are_not() -> None:
    api = FakeApi()
    api.put("a")
    api.lists += [answer(500), answer(500)]
    api.writes += [answer(500)]
    async with api.client() as client:
        items = [item async for page, _ in client.pages(THINGS, "shop") for item in page]
        with pytest.raises(Transient):
            await client.apply(THINGS, thing("a"), manager="me")

    assert [item["metadata"]["name"] for item in items] == ["a"]
    assert api.seen == ["list"] * 3 + ["PATCH /api/v1/namespaces/shop/services/a"]


async def test_deleting_what_is_gone_is_no_error() -> None:
    api = FakeApi()
    api.writes.append(answer(404))
    async with api.client() as client:
        await client.delete(THINGS, "shop", "a", uid="u")

    assert api.seen == ["DELETE /api/v1/namespaces/shop/services/a"]


async def test_preconditions_are_sent() -> None:
    sent: list[tuple[dict[str, Any], dict[str, str], str]] = []

    async def echo(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        sent.append((body["metadata"], dict(request.query), request.content_type))
        return web.Response(body=orjson.dumps(body))

    api = FakeApi()
    api.writes += [echo, echo]
    bare = {"metadata": {"name": "a", "namespace": "shop"}}
    async with api.client() as client:
        await client.create(THINGS, bare, manager="me")
        await client.apply(THINGS, bare, manager="me", uid="u", version="5")

    query = {"fieldManager": "me", "force": "true"}
    assert sent == [
        ({"name": "a", "namespace": "shop", "resourceVersion": "1"}, query, "application/apply-patch+yaml"),
        (
            {"name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "5"},
            query,
            "application/apply-patch+yaml",
        ),
    ]


def test_paths() -> None:
    apps = Resource("apps/v1", "deployments")

    assert THINGS.path() == "/api/v1/services"
    assert apps.path("shop", "a", "status") == "/apis/apps/v1/namespaces/shop/deployments/a/status"


async def test_a_fenced_client_reads_and_renews_but_does_not_write() -> None:
    api = FakeApi()
    api.put("a")
    lease = Resource("coordination.k8s.io/v1", "leases")

    def fence() -> None:
        raise Transient("fenced")

    async with api.client() as client:
        client.fence = fence
        assert [page async for page, _ in client.pages(THINGS, "shop")]
        with pytest.raises(Transient, match="fenced"):
            await client.create(THINGS, thing("b"), manager="me")
        assert api.seen == ["list"]
        api.writes.append(answer(409))
        with pytest.raises(Conflict):
            await client.post(lease, "system", {"metadata": {"name": "operator"}})
