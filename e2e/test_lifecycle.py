"""From apply to Ready, through a rollout under load, to nothing left."""

from __future__ import annotations

import httpx
import pytest

from e2e import images
from e2e.caller import CALLER
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.install import SERVICE_IMAGE, TAG
from e2e.services import Services
from e2e.traffic import traffic

pytestmark = pytest.mark.node

NEXT = "v0.1.1"
CHILDREN = (
    "serviceaccounts,networkpolicies,services,deployments,poddisruptionbudgets,horizontalpodautoscalers"
)


@pytest.fixture(scope="session")
def next_version(operator: Cluster) -> str:
    """The catalogue under another tag, on every node."""
    archive = images.build_image("service", TAG)
    operator.load_docker_image(str(images.retag(archive, f"{SERVICE_IMAGE}:{NEXT}")))
    return NEXT


def test_apply_to_ready_says_what_people_ask(shop: Services) -> None:
    shop.apply()

    service = shop.wait_ready()

    assert service["status"]["url"] == f"http://catalog.{shop.namespace}.svc"
    assert service["status"]["version"] == TAG
    assert {child["kind"] for child in service["status"]["children"]} >= {
        "Deployment",
        "Service",
        "NetworkPolicy",
    }
    header, row = shop.kubectl("get", "psvc", "catalog").splitlines()
    assert {"READY", "REASON", "VERSION", "URL", "SINCE"} <= set(header.split())
    assert [word for word in row.split() if word in {"True", "Ready", TAG}] == ["True", "Ready", TAG]


def test_ten_requests_each_with_its_own_id(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()

    with (
        shop.cluster.port_forward("service/catalog", 80, "-n", shop.namespace) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        responses = [client.get("/products") for _ in range(10)]

    assert [response.status_code for response in responses] == [200] * 10
    assert len({response.headers["x-request-id"] for response in responses}) == 10


def test_rolling_update_loses_no_request(shop: Services, next_version: str) -> None:
    shop.apply(replicas={"min": 3}, network={"allowFrom": [{"service": CALLER}]})
    shop.wait_ready()

    with traffic(shop, f"http://catalog.{shop.namespace}.svc/version") as load:
        for tag in (next_version, TAG):
            shop.patch({"image": {"tag": tag}})
            shop.wait_ready()

        def enough() -> None:
            assert load.requests() >= 20_000

        eventually(enough, timeout=120)
        report = load.stop()

    assert report.failures == ()
    assert report.failed == 0
    assert set(report.versions) == {TAG, next_version}


def test_delete_leaves_nothing(shop: Services) -> None:
    shop.apply(replicas={"min": 1, "max": 2})
    shop.wait_ready()

    shop.kubectl("delete", "psvc", "catalog", "--timeout=30s")

    def nothing_left() -> None:
        owned = [o for o in shop.find(f"{CHILDREN},pods,replicasets") if o["metadata"].get("ownerReferences")]
        assert [f"{o['kind']} {o['metadata']['name']}" for o in owned] == []

    eventually(nothing_left, timeout=60)
