"""Where settings come from, which of them wins, and what a bad one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from prodkit import Settings, SettingsError, contract
from prodkit.document import Document

DOCUMENT: dict[str, Any] = {
    "apiVersion": "productionservice.io/v1alpha1",
    "name": "catalog",
    "namespace": "shop",
    "version": "v1.4.2",
    "environment": "production",
    "port": 8001,
    "adminPort": 9001,
    "shutdown": {"preStopSeconds": 5, "propagationSeconds": 7, "drainSeconds": 25},
}


class ShopSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    name: str = "shop"
    token: SecretStr = SecretStr("")


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DOCUMENT))
    monkeypatch.setenv("PRODUCTIONSERVICE_CONFIG", str(path))
    return path


def test_defaults_need_no_document() -> None:
    settings = ShopSettings.load()

    assert (settings.name, settings.port, settings.admin_port) == ("shop", 8000, 9000)
    assert (settings.propagation_wait, settings.drain_seconds) == (5, 20)


@pytest.mark.usefixtures("document")
def test_the_document_overrides_defaults() -> None:
    settings = ShopSettings.load()

    assert (settings.name, settings.namespace, settings.version) == ("catalog", "shop", "v1.4.2")
    assert settings.environment == "production"
    assert (settings.port, settings.admin_port) == (8001, 9001)
    assert settings.propagation_wait == 2  # 7 in all, 5 of them before SIGTERM
    assert settings.drain_seconds == 25


@pytest.mark.usefixtures("document")
def test_the_environment_overrides_the_document_and_arguments_override_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_PORT", "8080")
    monkeypatch.setenv("SHOP_DRAIN_SECONDS", "3")

    settings = ShopSettings.load(drain_seconds=4)

    assert (settings.port, settings.admin_port, settings.drain_seconds) == (8080, 9001, 4)


def test_the_wait_is_never_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PRE_STOP_SECONDS", "10")
    assert ShopSettings.load().propagation_wait == 0


def test_unknown_keys_are_ignored(document: Path) -> None:
    newer = {
        **DOCUMENT,
        "dependencies": [{"name": "db"}],
        "shutdown": {**DOCUMENT["shutdown"], "mode": "Quick"},
    }
    document.write_text(json.dumps(newer))
    assert ShopSettings.load().version == "v1.4.2"


def test_what_the_document_leaves_out_stays_default(document: Path) -> None:
    document.write_text(json.dumps({"apiVersion": contract.API_VERSION, "shutdown": {"drainSeconds": 9}}))

    settings = ShopSettings.load()

    assert (settings.name, settings.port, settings.drain_seconds) == ("shop", 8000, 9)
    assert settings.propagation_wait == 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "the document: []"),
        ("{}", "apiVersion: is missing: write 'productionservice.io/v1alpha1'"),
        (json.dumps({**DOCUMENT, "apiVersion": "v2"}), "apiVersion: 'v2' cannot be used"),
        (json.dumps({**DOCUMENT, "port": "many"}), "port: 'many' cannot be used"),
        (
            json.dumps({**DOCUMENT, "shutdown": {"drainSeconds": -1}}),
            "shutdown.drainSeconds: -1 cannot be used",
        ),
        (json.dumps({**DOCUMENT, "environment": "moon"}), "environment: 'moon' cannot be used"),
    ],
)
def test_a_bad_document_names_file_key_and_value(document: Path, content: str, says: str) -> None:
    document.write_text(content)

    with pytest.raises(SettingsError) as caught:
        ShopSettings.load()

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"PRODUCTIONSERVICE_CONFIG={document}: {says}")


def test_a_missing_document_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTIONSERVICE_CONFIG", "/nowhere/config.json")
    with pytest.raises(
        SettingsError, match=r"^PRODUCTIONSERVICE_CONFIG=/nowhere/config.json: cannot be read .* mount"
    ):
        ShopSettings.load()


def test_every_bad_variable_is_named_at_once_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PORT", "70000")
    monkeypatch.setenv("SHOP_ENVIRONMENT", "moon")

    with pytest.raises(SettingsError) as caught:
        ShopSettings.load()

    assert [problem.split(" cannot")[0] for problem in caught.value.problems] == [
        "SHOP_ENVIRONMENT: 'moon'",
        "SHOP_PORT: '70000'",
    ]


def test_a_secret_is_not_shown_in_its_error() -> None:
    with pytest.raises(SettingsError) as caught:
        ShopSettings.load(token=["canary"])
    assert caught.value.problems[0].startswith("SHOP_TOKEN: (hidden) cannot be used")
    assert "canary" not in str(caught.value)


def test_both_ports_on_one_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PORT", "9000")
    with pytest.raises(SettingsError, match="port and admin_port are both 9000"):
        ShopSettings.load()


def test_a_service_link_of_kubernetes_is_not_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service named `shop` puts this into every pod of its namespace, ours too."""
    monkeypatch.setenv("SHOP_PORT", "tcp://10.96.0.10:80")
    assert ShopSettings.load().port == 8000


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ShopSettings.load().port = 1  # type: ignore[misc]  # mypy sees it too


def test_the_document_reads_exactly_the_keys_of_the_contract() -> None:
    schema = Document.model_json_schema()
    assert tuple(schema["properties"]) == contract.DOCUMENT_KEYS
    assert tuple(schema["$defs"]["Shutdown"]["properties"]) == contract.SHUTDOWN_KEYS
    assert schema["properties"]["apiVersion"]["const"] == contract.API_VERSION
    assert tuple(schema["properties"]["environment"]["enum"]) == contract.ENVIRONMENTS
    assert set(DOCUMENT) == set(contract.DOCUMENT_KEYS)
