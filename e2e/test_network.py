"""Who can talk to whom, shown by traffic with enforcement on."""

from __future__ import annotations

import re
import subprocess

import pytest

from e2e.caller import RESTRICTED
from e2e.cluster.providers import OwnCluster
from e2e.eventually import eventually
from e2e.install import SERVICE_IMAGE, TAG
from e2e.services import Services

pytestmark = pytest.mark.node

# Connects within two seconds or says why not. "Denied" may show as refused or as a time-out.
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    print("connected")
except OSError as error:
    print(f"not connected: {error}")
"""


def start_caller(shop: Services, name: str) -> None:
    """A pod that sleeps, labelled as the service `name`."""
    shop.apply_object(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"productionservice.io/service": name, "productionservice.io/component": "web"},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "caller",
                        "image": f"{SERVICE_IMAGE}:{TAG}",
                        "command": ["python3", "-c", "import time; time.sleep(600)"],
                        "securityContext": RESTRICTED,
                    }
                ],
            },
        }
    )
    shop.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=60s")


def connects(shop: Services, pod: str, host: str, port: int) -> bool:
    """Whether a connection from `pod` comes about, as a program in it says."""
    answer = shop.kubectl("exec", pod, "--", "python3", "-c", _CONNECT, host, str(port))
    return answer.strip() == "connected"


def refused(cluster: OwnCluster, pod: str) -> int:
    """Packets to or from `pod` that kube-router has refused, by the counter of its rule on each node."""
    rule = re.compile(rf'\[(\d+):\d+\].*"rule to REJECT traffic destined for POD name:{pod} ')
    saved = [
        subprocess.run(
            ["ip", "netns", "exec", cluster.spec.namespace(node), "iptables-save", "--counters"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for node in cluster.spec.nodes
    ]
    return sum(int(count) for count in rule.findall("\n".join(saved)))


def test_only_the_declared_caller_reaches_the_traffic_port_and_nobody_the_admin_port(shop: Services) -> None:
    shop.apply(network={"allowFrom": [{"service": "friend"}]})
    shop.wait_ready()
    for caller in ("friend", "stranger"):
        start_caller(shop, caller)
    address = shop.pods()[0]["status"]["podIP"]
    by_name = f"catalog.{shop.namespace}.svc"

    def friend_connects() -> None:
        assert connects(shop, "friend", by_name, 80)

    eventually(friend_connects, timeout=20)
    assert connects(shop, "friend", address, 8000)
    assert not connects(shop, "stranger", by_name, 80)
    assert not connects(shop, "stranger", address, 8000)
    assert not connects(shop, "friend", address, 9000)


def test_a_service_reaches_dns_and_declared_services_and_nothing_else(shop: Services) -> None:
    shop.apply("pricing", network={"allowFrom": [{"service": "catalog"}]})
    shop.apply("other", network={"allowFrom": [{"service": "catalog"}]})
    shop.apply(network={"allowTo": [{"service": "pricing"}]})
    for name in ("pricing", "other", "catalog"):
        shop.wait_ready(name)
    pod = shop.pods()[0]["metadata"]["name"]
    api_server = shop.cluster.kubectl(
        "get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes", "-n", "default",
        "-o", "jsonpath={.items[0].endpoints[0].addresses[0]}:{.items[0].ports[0].port}",
    )  # fmt: skip
    host, _, port = api_server.rpartition(":")

    def pricing_connects() -> None:
        assert connects(shop, pod, f"pricing.{shop.namespace}.svc", 80)

    eventually(pricing_connects, timeout=20)
    assert not connects(shop, pod, f"other.{shop.namespace}.svc", 80)
    assert not connects(shop, pod, host, int(port))
    cluster = shop.cluster
    if isinstance(cluster, OwnCluster):  # elsewhere another program enforces, and counts in its own way

        def refusals_are_counted() -> None:
            before = refused(cluster, pod)
            assert not connects(shop, pod, host, int(port))
            assert refused(cluster, pod) > before

        eventually(refusals_are_counted, timeout=30)  # kube-router counts from 0 again with each set of rules
