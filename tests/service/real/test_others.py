"""What the benchmarks compare with does its work while nothing is wrong: else its failures would be ours."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from benchmarks.service.processes import serve
from tests.service.real.servers import Server, psql, redis_server

MODULE = "benchmarks.service.others"
PRODUCT = "INSERT INTO products VALUES ('a1', 'LAMP', 'Lamp', '', 'lighting', 4900, 'EUR', 1, now(), now())"


@pytest.mark.parametrize("stack", ["peer", "peer_client_side", "tutorial"])
def test_one_origin_call_answers_two_callers(stack: str, redis: Server, tmp_path: Path) -> None:
    log = tmp_path / "origin"
    env = {"REDIS_URL": f"redis://127.0.0.1:{redis.port}", "ORIGIN_LOG": str(log)}
    with serve(stack, f"hot_{stack}", module=MODULE, env=env) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert [httpx.get(f"{base}/long").text for _ in range(2)] == ["7", "7"]
    with serve(stack, f"hot_{stack}", module=MODULE, env=env) as server:  # and the next process
        assert httpx.get(f"http://127.0.0.1:{server.port}/long").text == "7"
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.parametrize("stack", ["peer", "tutorial"])
def test_their_catalogues_serve_every_route(stack: str, database_url: str, postgres: Server) -> None:
    psql(postgres, PRODUCT, database=database_url.rpartition("/")[2].partition("?")[0])
    with redis_server() as redis:
        env = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
        with (
            serve(stack, f"catalog_{stack}", module=MODULE, env=env) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client,
        ):
            for path in ("/products/a1", "/products/a1", "/products?limit=2", "/version", "/readyz"):
                assert client.get(path).status_code == 200, path
            assert client.get("/products/a1").json()["priceCents"] == 4900
            assert client.get("/products?limit=2").json()["items"][0]["id"] == "a1"


def test_the_peers_catalogue_survives_its_redis(database_url: str, postgres: Server) -> None:
    psql(postgres, PRODUCT, database=database_url.rpartition("/")[2].partition("?")[0])
    with redis_server() as redis:
        env = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
        with (
            serve("peer", "catalog_peer", module=MODULE, env=env) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client,
        ):
            assert client.get("/readyz").json() == {"database": "up", "cache": "up"}
            redis.pause()
            try:
                assert client.get("/products/a1").status_code == 200
                assert client.get("/readyz").json() == {"database": "up", "cache": "down"}
            finally:
                redis.resume()
