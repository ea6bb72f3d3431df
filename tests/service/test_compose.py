"""compose.yaml is the cluster's shop on one machine: the same images, settings and hardening.

There is no Docker here. The library that `docker compose` itself reads files with says whether compose.yaml is
valid and what it comes to; that is compared with what the operator makes of examples/shop.yaml.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from catalog.pricing.app import PricingSettings
from catalog.settings import CatalogSettings
from e2e.images.recipes import RECIPES
from e2e.tools.builder import tool
from prodkit import Settings
from tests.service.processes import ROOT
from tests.support.builders import container, make_service, rendered

SERVICES = ("catalog", "pricing")
DIFFERENT = {
    "CATALOG_ENVIRONMENT": "the operator's document says it in the cluster",
    "PRICING_ENVIRONMENT": "as above",
    "CATALOG_DATABASE_URL": "another address, and no TLS inside of one machine",
    "CATALOG_DATABASE_CA_FILE": "no TLS inside of one machine",
    "CATALOG_REDIS_URL": "another address, and no TLS inside of one machine",
    "CATALOG_REDIS_CA_FILE": "no TLS inside of one machine",
    "CATALOG_PRICING_URL": "a Service of Kubernetes listens on port 80",
}
"""Settings that may differ, and why. docs/catalog.md has them too."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """What `docker compose config` would say."""
    command = [str(tool("compose-config")), str(ROOT / "compose.yaml")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    services: dict[str, Any] = json.loads(finished.stdout)["services"]
    return services


def in_cluster(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pod spec and container that the operator makes for a service of examples/shop.yaml."""
    documents = yaml.safe_load_all((ROOT / "examples" / "shop.yaml").read_text())
    [spec] = [each["spec"] for each in documents if each["metadata"]["name"] == name]
    service = make_service(name=name, **spec)
    [deployment] = [manifest for manifest in rendered(service) if manifest["kind"] == "Deployment"]
    return deployment["spec"]["template"]["spec"], container(service)


def settings_in_cluster(name: str) -> dict[str, str]:
    """Environment variables of a service's own."""
    _, made = in_cluster(name)
    return {each["name"]: each["value"] for each in made["env"] if each["name"] != "PRODUCTIONSERVICE_CONFIG"}


@pytest.mark.parametrize("name", SERVICES)
def test_the_same_image_runs_the_same_program(compose: dict[str, Any], name: str) -> None:
    _, made = in_cluster(name)
    assert compose[name]["image"] == made["image"] == f"{RECIPES['service'].repository}:v0.1.0"
    assert compose[name].get("entrypoint") == made.get("command")


@pytest.mark.parametrize("name", SERVICES)
def test_settings_are_the_same_but_for_those_that_are_named(compose: dict[str, Any], name: str) -> None:
    here, there = compose[name]["environment"], settings_in_cluster(name)
    different = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
    assert different == {key for key in DIFFERENT if key.startswith(f"{name.upper()}_")}


def test_each_difference_is_documented() -> None:
    page = (ROOT / "docs" / "catalog.md").read_text().partition("## On one machine")[2]
    assert [key for key in DIFFERENT if f"`{key}`" not in page] == []


@pytest.mark.parametrize(
    ("name", "model", "environment"),
    [("catalog", CatalogSettings, "production"), ("pricing", PricingSettings, "production")],
)
def test_both_sets_of_settings_start_the_service(
    compose: dict[str, Any],
    name: str,
    model: type[Settings],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for settings in (compose[name]["environment"], settings_in_cluster(name)):
        with monkeypatch.context() as patch:
            patch.setenv(model.env_name("environment"), environment)
            for key, value in settings.items():
                patch.setenv(key, value)
            loaded = model.load()
        known = {model.env_name(field) for field in model.model_fields}
        assert settings.keys() <= known
        assert loaded.environment == settings.get(model.env_name("environment"), environment)


@pytest.mark.parametrize("name", [*SERVICES, "migrate"])
def test_containers_are_as_hard_as_pods(compose: dict[str, Any], name: str) -> None:
    pod, made = in_cluster("catalog" if name == "migrate" else name)
    security = {**pod["securityContext"], **made["securityContext"]}
    here = compose[name]
    assert here["user"] == "10001:10001"
    assert security["runAsNonRoot"] is True
    assert here["read_only"] is security["readOnlyRootFilesystem"] is True
    assert here["cap_drop"] == security["capabilities"]["drop"] == ["ALL"]
    assert (here["security_opt"] == ["no-new-privileges:true"]) is not security["allowPrivilegeEscalation"]
    assert f"{int(here['mem_limit']) >> 20}Mi" == made["resources"]["limits"]["memory"]
    assert here["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"


def test_files_are_where_the_settings_say(compose: dict[str, Any]) -> None:
    mounted = {each["target"] for each in compose["catalog"]["configs"]}
    files = {value for key, value in compose["catalog"]["environment"].items() if key.endswith("_FILE")}
    _, made = in_cluster("catalog")
    folders = {mount["mountPath"] for mount in made["volumeMounts"]}
    assert files <= mounted
    assert {value.rpartition("/")[0] for value in files} <= folders


def test_only_loopback_is_listened_on(compose: dict[str, Any]) -> None:
    published = [port for service in compose.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    _, made = in_cluster("catalog")
    assert {port["target"] for port in published} == {port["containerPort"] for port in made["ports"]}
