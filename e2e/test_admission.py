"""Admission as a team meets it: advice from the operator's pods, refusals without them, and nothing that hangs."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.eventually import eventually
from e2e.install import NAMESPACE, RELEASE, install_operator
from e2e.services import Json, Services

pytestmark = pytest.mark.node

ONE_POD = "Warning: spec.replicas.min: one pod in staging: a drain interrupts the service; write 2 or more"
RENEWAL = {"admission": {"webhook": {"certificate": {"renewAfterDays": 0}}}}


def manifest(name: str, **metadata: Json) -> str:
    return json.dumps(
        {
            "apiVersion": "productionservice.io/v1alpha1",
            "kind": "ProductionService",
            "metadata": {"name": name, **metadata},
            "spec": {
                "environment": "staging",
                "image": {"repository": "registry.example/shop/hello", "tag": "v1"},
                "replicas": {"min": 1},
            },
        }
    )


def write(shop: Services, *flags: str, name: str = "hello", **metadata: Json) -> str:
    """What kubectl says, warnings too. Raises when the API server refuses."""
    return shop.kubectl(
        "create", *flags, "-f", "-", input=manifest(name, **metadata),
        capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def advised(shop: Services) -> None:
    assert ONE_POD in write(shop, "--dry-run=server")


def scale(shop: Services, replicas: int) -> None:
    shop.cluster.kubectl("-n", NAMESPACE, "scale", "deployment", RELEASE, f"--replicas={replicas}")


def operator_pods(shop: Services) -> list[str]:
    selector = f"app.kubernetes.io/instance={RELEASE}"
    return shop.cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "name").split()


def certificates(shop: Services) -> set[str]:
    """Digests of what each replica serves."""
    found = set()
    for pod in operator_pods(shop):
        with (
            shop.cluster.port_forward(pod, 9443, "-n", NAMESPACE) as port,
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        ):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # asked which it is, not whose
            with context.wrap_socket(plain) as wrapped:
                found.add(hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest())
    return found


@contextmanager
def dry_runs(shop: Services) -> Iterator[list[str]]:
    """Creates, one after another, until the block ends; what was said to each."""
    said: list[str] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                said.append(write(shop, "--dry-run=server"))
            except subprocess.CalledProcessError as error:
                said.append(f"FAILED {error.stdout}")

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield said
    finally:
        stop.set()
        caller.join()


def test_kubectl_prints_advice_and_the_policies_refuse(shop: Services) -> None:
    eventually(lambda: advised(shop))

    with pytest.raises(subprocess.CalledProcessError) as refused:
        write(shop, "--dry-run=server", annotations={"productionservice.io/paused": "yes"})

    assert "'yes' is not of its form; write until=" in refused.value.stdout


def test_a_new_certificate_fails_no_admission(shop: Services) -> None:
    eventually(lambda: advised(shop))
    before, pods = certificates(shop), operator_pods(shop)
    with dry_runs(shop) as said:
        install_operator(shop.cluster, RENEWAL)

        def renewed() -> None:
            assert not certificates(shop) & before

        eventually(renewed, timeout=150, interval=2)  # the kubelet brings a Secret within 80 s

    assert operator_pods(shop) == pods, "nothing was restarted for it"
    assert [words for words in said if ONE_POD not in words] == [], f"of {len(said)}"


def test_without_the_operators_pods_services_run_and_can_be_written_and_deleted(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()
    pods = {pod["metadata"]["uid"] for pod in shop.pods()}
    scale(shop, 0)
    try:
        eventually(lambda: gone(shop), timeout=60)

        assert ONE_POD not in write(shop, name="kept")
        shop.patch({"replicas": {"min": 2}})
        assert {pod["metadata"]["uid"] for pod in shop.pods()} == pods
        with pytest.raises(subprocess.CalledProcessError) as refused:
            write(shop, name="later", annotations={"productionservice.io/paused": "yes"})
        assert "is not of its form" in refused.value.stdout, "the API server needs nobody for that"
        shop.kubectl("delete", "psvc", "catalog", "--timeout=20s")
        eventually(lambda: nothing_left(shop), timeout=60)
    finally:
        scale(shop, 2)
        shop.cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")
    eventually(lambda: shop.get("service", "kept"))
    eventually(lambda: advised(shop))


def gone(shop: Services) -> None:
    assert operator_pods(shop) == []


def nothing_left(shop: Services) -> None:
    assert shop.find("pods,services,deployments", "productionservice.io/service=catalog") == []
