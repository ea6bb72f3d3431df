"""The whole matrix of docs/network.md by real connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_network
from itertools import takewhile
from pathlib import Path

import pytest

from e2e.cluster.providers import Cluster, OwnCluster
from e2e.eventually import eventually
from e2e.install import install_operator
from e2e.network_matrix import (
    CACHE,
    CELLS,
    CREDENTIALS,
    HEAD,
    NODE_DNS,
    Cell,
    answer_datagrams,
    connections,
    dns_cache,
    metadata_service,
    start_listener,
)
from e2e.services import Services, new_namespace
from productionservice.effective import NEVER_REACHED, contains

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
    "health": 8080,
}


def tables() -> list[list[str]]:
    """The rows of each table of cells."""
    rows: Iterator[str] = iter(DOCUMENT.read_text().splitlines())
    return [list(takewhile(lambda row: row.startswith("|"), rows))[1:] for line in rows if line == HEAD]


def test_the_document_has_every_cell() -> None:
    assert tables() == [[cell.row for cell in cells] for cells in (CELLS, CREDENTIALS, NODE_DNS)]
    assert f"real connections, {len(CELLS)} of them" in DOCUMENT.read_text()
    assert len(CELLS) >= 30


def test_the_addresses_are_those_that_the_api_refuses() -> None:
    tried = {ip_network(cell.target) for cell in CREDENTIALS if cell.target[0].isdigit()}

    for never in (one for one in NEVER_REACHED if one.version == 4):
        assert any(contains(never, one) for one in tried), never


@contextmanager
def scraping(cluster: Cluster) -> Iterator[Services]:
    """The namespace that scrapes, as the chart's default names it. One where Prometheus runs stays."""
    there = cluster.kubectl("get", "namespace", "monitoring", "-o", "name", "--ignore-not-found").strip()
    if not there:
        cluster.kubectl("create", "namespace", "monitoring")
    try:
        yield Services(cluster, "monitoring")
    finally:
        ours = ("pod", "scraper", "-n", "monitoring") if there else ("namespace", "monitoring")
        cluster.kubectl("delete", *ours, "--wait=false", "--ignore-not-found")


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
        by_datagram = {**to_outside, "port": 8002, "protocol": "UDP"}
        allow_to = [{"service": "pricing"}, {"service": "quiet"}, to_outside, by_datagram]
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
        answer_datagrams(shop, pods["catalog"][1], PORTS["traffic"])
        addresses["DNS"], addresses["API server"] = _dns(shop.cluster), _api_server(shop.cluster)[0]

        def where(cell: Cell) -> tuple[str, int, str]:
            if cell.port == "Service 80":
                return f"{cell.target}.{shop.namespace}.svc", 80, "TCP"
            if cell.target == "API server":
                return (*_api_server(shop.cluster), "TCP")
            return addresses[cell.target], *_port(cell)

        _all_as_written(CELLS, pods, where)


@pytest.mark.node
@pytest.mark.inside
def test_a_hostile_service_gets_at_nobodys_credentials(shop: Services) -> None:
    cluster = shop.cluster
    assert isinstance(cluster, OwnCluster)  # its node is given an address
    everything = IPv4Network("0.0.0.0/0").address_exclude(IPv4Network("169.254.0.0/16"))
    wide = [{"cidr": str(part), "port": port} for part in everything for port in (80, 8001)]
    with new_namespace(cluster) as elsewhere, metadata_service(cluster):
        outside = start_listener(elsewhere, "outside", {"app": "outside"})
        shop.apply("hostile", network={"allowTo": wide})
        shop.apply("quiet")
        pods = {"outside": (elsewhere, "outside")}
        for name in ("hostile", "quiet"):
            shop.wait_ready(name)
            pods[name] = (shop, shop.pods(name)[0]["metadata"]["name"])

        def where(cell: Cell) -> tuple[str, int, str]:
            return outside if cell.target == "outside" else cell.target, int(cell.port), "TCP"

        _all_as_written(CREDENTIALS, pods, where)


@pytest.fixture
def told_of_a_cache(operator: Cluster) -> Iterator[OwnCluster]:
    """The operator, told of a DNS cache at an address of the node."""
    assert isinstance(operator, OwnCluster)  # its node is given addresses
    install_operator(operator, {"config": {"dns": {"addresses": [CACHE]}}})
    yield operator
    install_operator(operator)


@pytest.mark.node
@pytest.mark.inside
def test_a_dns_cache_on_the_node_is_asked_where_it_is_given(told_of_a_cache: OwnCluster) -> None:
    dns = _dns(told_of_a_cache)
    with (
        new_namespace(told_of_a_cache) as shop,
        new_namespace(told_of_a_cache) as elsewhere,
        dns_cache(told_of_a_cache, dns),
    ):
        start_listener(elsewhere, "outside", {"app": "outside"})
        shop.apply()
        shop.wait_ready()
        pods = {"outside": (elsewhere, "outside"), "catalog": (shop, shop.pods()[0]["metadata"]["name"])}

        def where(cell: Cell) -> tuple[str, int, str]:
            return dns if cell.target == "DNS" else cell.target, *_port(cell)

        _all_as_written(NODE_DNS, pods, where)


def _port(cell: Cell) -> tuple[int, str]:
    """Number and protocol."""
    protocol = "UDP" if cell.port.startswith("UDP ") else "TCP"
    return PORTS[cell.port.removeprefix("UDP ")], protocol


def _all_as_written(
    cells: Sequence[Cell],
    pods: Mapping[str, tuple[Services, str]],
    where: Callable[[Cell], tuple[str, int, str]],
) -> None:
    """A pod's policy takes a moment after its start: all cells have to be right at one time."""
    assert {cell.caller for cell in cells} == pods.keys()

    def all_are_right() -> None:
        wrong = []
        for caller, (services, pod) in pods.items():
            mine = [cell for cell in cells if cell.caller == caller]
            answers = connections(services, pod, map(where, mine))
            wrong += [c.row for c, answer in zip(mine, answers, strict=True) if answer is not c.allowed]
        assert wrong == []

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
