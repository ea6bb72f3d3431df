"""What runs inside the pods, looked at from inside."""

from __future__ import annotations

import json

import httpx
import pytest

from e2e.services import Services

pytestmark = pytest.mark.node

_LOOK = """
import json, os, pathlib
def writable(folder):
    try:
        (pathlib.Path(folder) / "probe").write_text("x")
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(),
    "root": writable("/"),
    "tmp": writable("/tmp"),
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
    "document": json.loads(pathlib.Path(os.environ["PRODUCTIONSERVICE_CONFIG"]).read_text()),
}))
"""


def test_the_pod_is_unprivileged_read_only_and_knows_its_document(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()
    pod = shop.pods()[0]["metadata"]["name"]

    seen = json.loads(shop.kubectl("exec", pod, "--", "python3", "-c", _LOOK))

    assert seen["uid"] >= 10001
    assert (seen["root"], seen["tmp"], seen["token"]) == (False, True, False)
    assert seen["document"]["name"] == "catalog"
    assert seen["document"]["namespace"] == shop.namespace
    assert seen["document"]["shutdown"] == {"preStopSeconds": 2, "propagationSeconds": 2, "drainSeconds": 10}


def test_logs_are_json_with_the_request_id(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()
    with shop.cluster.port_forward("service/catalog", 80, "-n", shop.namespace) as port:
        response = httpx.get(
            f"http://127.0.0.1:{port}/products", headers={"X-Request-ID": "trace-me-42"}, timeout=10
        )

    assert response.headers["x-request-id"] == "trace-me-42"
    lines = [json.loads(line) for line in shop.kubectl("logs", "deployment/catalog").splitlines()]
    access = next(line for line in lines if line.get("request_id") == "trace-me-42")
    assert {"trace_id", "route", "status", "duration_ms", "user_agent"} <= set(access)
