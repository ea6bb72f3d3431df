"""Whose word is taken for who the caller is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.clients import connect, request
from tests.service.processes import AT_ONCE, eventually, run_service


@pytest.mark.parametrize(
    ("trusted", "told", "logged"),
    [
        ("", "203.0.113.7", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8,127.0.0.0/8", "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        (
            "127.0.0.0/8",
            "198.51.100.66, 203.0.113.7",
            "203.0.113.7",
        ),  # the first is what the caller says itself
    ],
)
async def test_only_a_trusted_proxy_says_who_the_caller_is(
    tmp_path: Path, trusted: str, told: str, logged: str
) -> None:
    env = AT_ONCE | {"SERVICE_TRUSTED_PROXIES": trusted}
    async with run_service("-m", "tests.service.drain_app", log=tmp_path / "log", env=env) as service:
        async with connect(("127.0.0.1", service.port)) as connection:
            connection.send(request("/fast", headers=f"X-Forwarded-For: {told}\r\n"))
            assert (await connection.receive()).status == 200

        async def line() -> list[str]:
            return [each["client"] for each in service.events("request")]

        assert await eventually(line, what="its line") == [logged]
