"""The whole matrix of docs/network.md by real connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.network_matrix import CELLS, HEAD, Cell, connections, start_listener
from e2e.services import Services, new_namespace

DOCUMENT = Path(__file__).parents[1] / "docs" / "network.md"
WEB = {"productionservice.io/service": "web", "productionservice.io/component": "web"}
PORTS = {
    "Service 80": 80,
    "traffic": 8000,
    "admin": 9000,
    "8001": 8001,
    "8002": 8002,
    "53": 53,
    "metrics": 9153,
}


def test_the_document_has_every_cell() -> None:
    lines = DOCUMENT.read_text().splitlines()
    start = lines.index(HEAD) + 2

    assert lines[start : start + len(CELLS)] == [cell.row for cell in CELLS]
    assert not lines[start + len(CELLS)].startswith("|")
    assert len(CELLS) >= 30


@contextmanager
def scraping(cluster: Cluster) -> Iterator[Services]:
    """The namespace that scrapes, as the chart's default names it."""
    cluster.kubectl("create", "namespace", "monitoring")
    try:
        yield Services(cluster, "monitoring")
    finally:
        cluster.kubectl("delete", "namespace", "monitoring", "--wait=false")


@pytest.mark.node
def test_every_cell_is_as_the_document_says(shop: Services) -> None:
    with new_namespace(shop.cluster) as elsewhere, scraping(shop.cluster) as monitoring:
        addresses = {
            "stranger": start_listener(shop, "stranger", {"app": "stranger"}),
            "outside": start_listener(elsewhere, "outside", {"app": "outside"}),
        }
        ranger = start_listener(shop, "ranger", {"app": "ranger"})
        start_listener(shop, "web", WEB)
        start_listener(elsewhere, "web", WEB)
        start_listener(monitoring, "scraper", {"app": "scraper"})
        allow_from = [{"service": "web"}, {"cidr": f"{ranger}/32"}]
        to_outside = {"cidr": f"{addresses['outside']}/32", "port": 8001}
        allow_to = [{"service": "pricing"}, {"service": "quiet"}, to_outside]
        shop.apply("pricing", network={"allowFrom": [{"service": "catalog"}]})
        shop.apply("quiet", observability={"metrics": {"monitor": "Off"}})
        shop.apply(network={"allowFrom": allow_from, "allowTo": allow_to})
        pods = {
            "web": (shop, "web"), "stranger": (shop, "stranger"), "ranger": (shop, "ranger"),
            "web of another namespace": (elsewhere, "web"), "outside": (elsewhere, "outside"),
            "scraper": (monitoring, "scraper"),
        }  # fmt: skip
        for name in ("pricing", "quiet", "catalog"):
            shop.wait_ready(name)
            pod = shop.pods(name)[0]
            pods[name], addresses[name] = (shop, pod["metadata"]["name"]), pod["status"]["podIP"]
        shop.wait_reason("CalleeDoesNotAllow", type_="CallsAllowed")
        addresses["DNS"], addresses["API server"] = _dns(shop.cluster), _api_server(shop.cluster)[0]

        def where(cell: Cell) -> tuple[str, int]:
            if cell.port == "Service 80":
                return f"{cell.target}.{shop.namespace}.svc", 80
            port = _api_server(shop.cluster)[1] if cell.target == "API server" else PORTS[cell.port]
            return addresses[cell.target], port

        def wrong() -> list[str]:
            """A pod's policy takes a moment after its start: all cells have to be right at one time."""
            found = []
            for caller, (services, pod) in pods.items():
                cells = [cell for cell in CELLS if cell.caller == caller]
                answers = connections(services, pod, map(where, cells))
                found += [c.row for c, answer in zip(cells, answers, strict=True) if answer is not c.allowed]
            return found

        def all_are_right() -> None:
            assert wrong() == []

        assert {cell.caller for cell in CELLS} == pods.keys()
        eventually(all_are_right, timeout=60)


def _dns(cluster: Cluster) -> str:
    """Address of a pod that answers DNS."""
    return cluster.kubectl(
        "-n",
        "kube-system",
        "get",
        "pods",
        "-l",
        "k8s-app=kube-dns",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    )


def _api_server(cluster: Cluster) -> tuple[str, int]:
    found = cluster.kubectl(
        "get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes", "-n", "default",
        "-o", "jsonpath={.items[0].endpoints[0].addresses[0]}:{.items[0].ports[0].port}",
    )  # fmt: skip
    host, _, port = found.rpartition(":")
    return host, int(port)
