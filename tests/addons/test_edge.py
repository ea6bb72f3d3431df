"""What can be said about the edge's add-ons without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e import crds
from e2e.addons import ADDONS, cert_manager, pebble, traefik
from e2e.addons.addon import Json
from e2e.addons.sources import container, one
from e2e.tools import pins
from e2e.tools.pins import Family, pinned, pinned_in


def test_every_listener_of_the_gateway_has_an_entry_point_on_its_port() -> None:
    manifests = traefik.ADDON.manifests()
    server = container(one(manifests, "Deployment", "traefik"))
    listeners = one(manifests, "Gateway", traefik.GATEWAY)["spec"]["listeners"]

    entry_points = {
        argument.rpartition(":")[2]
        for argument in server["args"]
        if argument.startswith("--entrypoints.") and ".address=" in argument
    }
    assert {str(listener["port"]) for listener in listeners} <= entry_points


def test_the_service_s_ports_are_those_of_the_pod() -> None:
    manifests = traefik.ADDON.manifests()
    server = container(one(manifests, "Deployment", "traefik"))
    service = one(manifests, "Service", "traefik")

    assert {port["targetPort"] for port in service["spec"]["ports"]} == {
        port["containerPort"] for port in server["ports"]
    }


def test_it_phones_nobody() -> None:
    arguments = container(one(traefik.ADDON.manifests(), "Deployment", "traefik"))["args"]
    assert {"--global.checknewversion=false", "--global.sendanonymoususage=false"} <= set(arguments)


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Json]:
    """Manifests of the add-on pebble, with files in place of the module's certificates."""
    certificates = tmp_path / "test" / "certs"
    (certificates / "localhost").mkdir(parents=True)
    for name in ("pebble.minica.pem", "localhost/cert.pem", "localhost/key.pem"):
        (certificates / name).write_text(name)
    monkeypatch.setattr(pebble, "module_folder", lambda *_: tmp_path)
    return pebble.ADDON.manifests()


def test_pebble_and_cert_manager_ask_the_same_server_of_names(acme: list[Json]) -> None:
    names = one(acme, "Service", "challtestsrv")
    address = f"{names['metadata']['name']}.{names['metadata']['namespace']}.svc.cluster.local"
    arguments = container(one(acme, "Deployment", "pebble"))["args"]

    assert f"{address}:{names['spec']['ports'][0]['port']}" == cert_manager.DNS
    assert arguments[arguments.index("-dnsserver") + 1] == cert_manager.DNS
    assert {port["protocol"] for port in names["spec"]["ports"]} == {"UDP", "TCP"}


def test_every_issuer_s_server_is_the_name_that_pebble_s_certificate_has(acme: list[Json]) -> None:
    issuers = [item for item in acme if item["kind"] == "ClusterIssuer"]
    assert {item["spec"]["acme"]["server"] for item in issuers} == {"https://pebble:14000/dir"}
    assert one(acme, "Service", "pebble")["metadata"]["namespace"] == cert_manager.NAMESPACE


def test_every_renewal_is_challenged(acme: list[Json]) -> None:
    settings = container(one(acme, "Deployment", "pebble"))["env"]
    assert {"name": "PEBBLE_AUTHZREUSE", "value": "0"} in settings


@pytest.mark.parametrize(
    ("family", "module"),
    [
        ("cert-manager", "github.com/cert-manager/cert-manager"),
        ("prometheus-operator", "github.com/prometheus-operator/prometheus-operator"),
    ],
)
def test_a_project_that_is_pinned_twice_is_pinned_to_one_version(family: str, module: str) -> None:
    assert pinned(family, module) == pinned_in(Path(crds.__file__).parent / "go.mod", module)


def test_each_comes_after_what_it_needs() -> None:
    names = list(ADDONS)
    for addon in ADDONS.values():
        assert all(names.index(needed) < names.index(addon.name) for needed in addon.needs)


def test_a_change_in_a_program_s_folder_builds_it_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pins, "MODULES", tmp_path)
    family = Family("two", {"one": "example.io/one", "other": "example.io/other"}, 1)
    (tmp_path / "two" / "one").mkdir(parents=True)
    source = tmp_path / "two" / "one" / "main.go"
    keys = {family.key}
    for text in ("package main", "package main // other"):
        source.write_text(text)
        keys.add(family.key)
    assert len(keys) == 3
