"""S25: the operator talks to the API server and to nobody else, whatever a resource says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from productionservice.errors import OperatorError
from tests.operator.engine.fake_api import THINGS, FakeApi

SOURCE = Path(__file__).parents[2] / "operator" / "productionservice"
TALKS = {"engine/client.py", "handlers.py"}
"""Our own client, and kopf with the same server and credentials."""
NETWORK = {"aiohttp", "socket", "urllib", "http", "httpx", "requests", "ssl", "kopf"}
LISTENS = {
    "engine/health.py",
    "admission/server.py",
    "admission/certificate.py",
    "engine/login.py",
    "main.py",
    "config.py",
}
"""They serve, read certificates, ask for the own host name, or put the others together."""


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_s25_one_module_opens_connections() -> None:
    using = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if imported(p) & NETWORK}

    assert sorted(using - TALKS - LISTENS - {"engine/answers.py"}) == []
    for name in LISTENS:
        text = (SOURCE / name).read_text()
        assert "ClientSession" not in text
        assert "open_connection" not in text


async def test_s25_a_redirect_is_not_followed() -> None:
    """An API server's proxy that answers with one could send the operator, with its token, anywhere."""
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    other = TestServer(app)
    await other.start_server()
    api = FakeApi()

    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": str(other.make_url("/secret"))})

    try:
        async with api.client() as client:
            api.lists.append(redirect)
            with pytest.raises(OperatorError):
                await anext(client.pages(THINGS))
    finally:
        await other.close()
    assert reached == []
