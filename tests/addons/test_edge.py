"""What can be said about the edge's add-ons without a cluster."""

from __future__ import annotations

from e2e.addons import traefik
from e2e.addons.sources import container, one


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
