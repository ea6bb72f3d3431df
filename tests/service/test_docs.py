"""docs/service.md and docs/catalog.md say what the code does: the example runs, the tables are the settings."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from catalog.settings import CatalogSettings
from prodkit import Settings, contract
from prodkit.document import Document, Shutdown
from tests.service.processes import ROOT, run_service

PAGE = (ROOT / "docs" / "service.md").read_text()
CATALOG_PAGE = (ROOT / "docs" / "catalog.md").read_text()


async def test_the_example_runs(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (tmp_path / "hello.py").write_text(found[1])
    env = {"SERVICE_PORT": "0", "SERVICE_ADMIN_PORT": "0", "SERVICE_HOST": "127.0.0.1"}
    async with (
        run_service(str(tmp_path / "hello.py"), log=tmp_path / "log", env=env) as service,
        httpx.AsyncClient() as client,
    ):
        reply = await client.get(f"http://127.0.0.1:{service.port}/hello/you")
        assert reply.json() == {"hello": "you"}
        assert (await service.admin("/readyz")).status_code == 200


def test_the_settings_table_is_the_model() -> None:
    keys = document_keys()
    rows = "".join(
        f"| `…_{name.upper()}` | {default(Settings, name)} | {keys.get(name, '')} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    assert rows in PAGE, f"docs/service.md has another table; it should be:\n{rows}"


def test_the_catalogs_table_is_its_model() -> None:
    own = {
        name: field
        for name, field in CatalogSettings.model_fields.items()
        if name not in Settings.model_fields
    }
    rows = "".join(
        f"| `CATALOG_{name.upper()}` | {default(CatalogSettings, name)} | {field.description} |\n"
        for name, field in own.items()
    )
    assert rows in CATALOG_PAGE, f"docs/catalog.md has another table; it should be:\n{rows}"


def test_the_grace_period_is_the_sum_of_the_contract() -> None:
    total = contract.PROPAGATION_SECONDS + contract.DRAIN_SECONDS + contract.RESERVE_SECONDS
    assert f"({total} with the defaults)" in PAGE


def default(settings: type[Settings], name: str) -> str:
    """How the table shows a default."""
    value: Any = settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if value != "" and os.linesep not in str(value) else ""


def document_keys() -> dict[str, str]:
    """Setting → where the document says it, from the document's own schema."""
    names = {name: f"`{field.alias}`" for name, field in Document.model_fields.items()}
    names |= {name: f"`shutdown.{field.alias}`" for name, field in Shutdown.model_fields.items()}
    assert json.dumps(sorted(set(names) - set(Settings.model_fields))) == '["api_version", "shutdown"]'
    return names
