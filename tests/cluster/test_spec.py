"""Names and addresses that follow from a cluster's parameters."""

from __future__ import annotations

import ipaddress
import itertools
import json

import pytest

from e2e.cluster import network
from e2e.cluster.spec import MOST_NODES, SLOTS, ClusterSpec, Level, Ports
from e2e.progress import CommandError


@pytest.mark.parametrize("slot", SLOTS)
def test_every_address_is_in_the_block_of_its_slot(slot: int) -> None:
    spec = ClusterSpec("full", Level.NODES, MOST_NODES, slot)
    block = ipaddress.ip_network(spec.block)
    addresses = [spec.control_plane_address, spec.host_address, spec.dns_address, spec.api_service_address]

    assert all(ipaddress.ip_address(a) in block for a in [*addresses, *(n.address for n in spec.nodes)])
    assert len({*addresses, *(n.address for n in spec.nodes)}) == len(addresses) + MOST_NODES


def test_ranges_of_pods_and_services_do_not_meet() -> None:
    spec = ClusterSpec("full", Level.NODES, MOST_NODES)
    nodes = ipaddress.ip_network(f"{spec.control_plane_address}/24", strict=False)
    pods, services = ipaddress.ip_network(spec.pod_range), ipaddress.ip_network(spec.service_range)
    each = [ipaddress.ip_network(node.pod_range) for node in spec.nodes]

    assert not any(a.overlaps(b) for a, b in itertools.combinations([nodes, services, *each], 2))
    assert all(isinstance(r, ipaddress.IPv4Network) and r.subnet_of(pods) for r in each)  # type: ignore[arg-type]  # IPv4 both
    assert not pods.overlaps(services)


def test_blocks_of_slots_do_not_meet() -> None:
    blocks = [ipaddress.ip_network(ClusterSpec("one", Level.NODE, 1, slot).block) for slot in SLOTS]

    assert not any(a.overlaps(b) for a, b in itertools.combinations(blocks, 2))


def test_neighbouring_nodes_are_in_different_zones() -> None:
    assert [n.zone for n in ClusterSpec("z", Level.NODES, 4).nodes] == [
        "zone-a",
        "zone-b",
        "zone-c",
        "zone-a",
    ]


def test_names_of_clusters_never_make_one_the_prefix_of_another() -> None:
    short, long = ClusterSpec("a", Level.NODE, 1), ClusterSpec("a-n1", Level.NODE, 1)

    assert not long.namespace(long.nodes[0]).startswith(short.namespace(short.nodes[0]))
    assert not long.control_plane_namespace.startswith(f"{short.cgroup}.")


def test_longest_name_leaves_room_for_socket_paths() -> None:
    spec = ClusterSpec("x" * 24, Level.NODES, MOST_NODES)
    longest = f"/run/productionservice-e2e/{spec.name}/n{MOST_NODES}/kubelet/pod-resources/kubelet.sock"

    assert len(longest) < 107  # sockaddr_un.sun_path less its final zero


def test_spec_survives_the_run_directory() -> None:
    spec = ClusterSpec("dev", Level.NODES, 3, slot=5, ports=Ports(1, 2, 3, 4, 5), short_intervals=True)

    assert ClusterSpec.from_json(spec.to_json()) == spec


def test_level_api_is_on_loopback() -> None:
    spec = ClusterSpec("dev", Level.API, ports=Ports(api_server=4711))

    assert spec.server == "https://127.0.0.1:4711"
    assert spec.nodes == ()


@pytest.mark.parametrize("name", ["", "Dev", "a_b", "-a", "a-", "a.b", "x" * 25])
def test_bad_name_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="lower-case letters, digits and inner hyphens"):
        ClusterSpec(name, Level.API)


@pytest.mark.parametrize(
    ("level", "count", "message"),
    [
        (Level.API, 1, "1 nodes at level api: it has 0, leave the number out"),
        (Level.NODE, 2, "2 nodes at level node: it has 1, leave the number out"),
        (Level.NODES, 1, "1 nodes at level nodes: use 2 to 20"),
        (Level.NODES, 21, "21 nodes at level nodes: use 2 to 20"),
    ],
)
def test_wrong_number_of_nodes_is_refused(level: Level, count: int, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        ClusterSpec("dev", level, count)


def routes(monkeypatch: pytest.MonkeyPatch, *destinations: str) -> None:
    text = json.dumps([{"dst": destination} for destination in destinations])
    monkeypatch.setattr(network, "_ip", lambda _: text)


def test_slot_of_another_cluster_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    routes(monkeypatch, "default", "192.168.0.0/24")

    assert network.free_slot([]) == 0
    assert network.free_slot([0, 1, 3]) == 2


def test_slot_that_a_route_of_the_machine_leads_into_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # A route for all of 10/8 is no obstacle: the cluster's own routes are longer.
    routes(monkeypatch, "10.0.0.0/8", "10.77.3.0/24", "10.78.1.2")

    assert network.free_slot([]) == 2


def test_no_free_slot_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    routes(monkeypatch)

    with pytest.raises(CommandError, match="take one down"):
        network.free_slot(SLOTS)
