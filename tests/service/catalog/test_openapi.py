"""Schemathesis tries every operation of both services: no server error, no answer that the description lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from catalog.database import migrate_database
from catalog.settings import CatalogSettings
from e2e.eventually import eventually
from tests.service.catalog.applications import catalog, pricing
from tests.service.conftest import postgres_url
from tests.service.processes import run_service
from tests.service.real.servers import Server, psql

CATALOG = schemathesis.openapi.from_dict(catalog().openapi())
PRICING = schemathesis.openapi.from_dict(pricing().openapi())
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
ACCEPTED = 202
METHOD_NOT_ALLOWED = "405"  # the answer to methods that the description does not have
examples = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalog_address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    log = tmp_path_factory.mktemp("catalog") / "log"
    url = _new_database(request.getfixturevalue("postgres")) if request.param == "postgresql" else ""
    yield from _serving("catalog", "CATALOG", log, CATALOG_DATABASE_URL=url)


@pytest.fixture(scope="module")
def pricing_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from _serving("catalog.pricing", "PRICING", tmp_path_factory.mktemp("pricing") / "log")


@CATALOG.parametrize()
@examples
def test_the_catalogue_keeps_to_its_description(case: Case[Any], catalog_address: str) -> None:
    _try(case, catalog_address)


@PRICING.parametrize()
@examples
def test_pricing_keeps_to_its_description(case: Case[Any], pricing_address: str) -> None:
    _try(case, pricing_address)


def test_nul_is_refused_by_name(catalog_address: str) -> None:
    """PostgreSQL cannot keep it in a text."""
    given = {"sku": "NUL-1", "name": "a\0b", "description": "\0", "category": "lighting", "priceCents": 1}
    for reply, fields in (
        (httpx.post(f"{catalog_address}/products", json=given), ["body.name", "body.description"]),
        (httpx.get(f"{catalog_address}/products?q=%00&category=a%00"), ["query.q", "query.category"]),
    ):
        assert reply.status_code == 422
        assert [error["field"] for error in reply.json()["errors"]] == fields


def test_every_field_has_an_example_or_a_closed_set() -> None:
    """Of what a client writes; what it reads is shown by the same classes."""
    schema = catalog().openapi()
    bare = [
        f"{name}.{field}"
        for name in ("ProductInput", "ImportInput")
        for field, what in schema["components"]["schemas"][name]["properties"].items()
        if not {"examples", "items", "enum"} & set(what)
    ]
    assert bare == []


def _try(case: Case[Any], address: str) -> None:
    response = case.call(base_url=address)
    case.validate_response(response, checks=CHECKS)
    # `default` in the description would allow anything.
    documented = {*case.operation.responses.status_codes, METHOD_NOT_ALLOWED} - {"default"}
    assert str(response.status_code) in documented, f"{response.status_code} is not described"
    if response.status_code == ACCEPTED:  # a few may run at once, and only so many: the next case finds room
        eventually(partial(_is_over, f"{address}/imports/{response.json()['id']}"), interval=0.02)


def _is_over(address: str) -> None:
    assert httpx.get(address).raise_for_status().json()["state"] != "running"


def _serving(module: str, prefix: str, log: Path, **env: str) -> Iterator[str]:
    """Address of a process, from a fixture that is not asynchronous: schemathesis calls are not."""
    env |= {f"{prefix}_PORT": "0", f"{prefix}_ADMIN_PORT": "0", f"{prefix}_HOST": "127.0.0.1"}
    env |= {f"{prefix}_OVERLOAD_LIMIT": "false"}  # its 503 is no error of the application
    with asyncio.Runner() as runner:
        process = run_service("-m", module, log=log, env=env)
        service = runner.run(process.__aenter__())
        yield f"http://127.0.0.1:{service.port}"
        runner.run(process.__aexit__(None, None, None))
    assert [line for line in service.lines() if line.get("level") == "error"] == []


def _new_database(server: Server) -> str:
    psql(server, "CREATE DATABASE described OWNER app")
    url = postgres_url(server, "described")
    migrate_database(CatalogSettings.load(database_url=url))
    return url
