"""What on-call reads: each cause by name, with the pod, within 30 seconds."""

from __future__ import annotations

import pytest

from e2e.install import SERVICE_IMAGE
from e2e.services import Services

pytestmark = pytest.mark.node


def test_unknown_image_is_named_while_the_old_pods_serve_on(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()
    old = shop.pods()

    shop.patch({"image": {"tag": "v9.9.9"}})
    condition = shop.wait_reason("ImagePullFailed")

    assert f"{SERVICE_IMAGE}:v9.9.9" in condition["message"]
    assert "spec.image" in condition["message"]
    assert condition["status"] == "False"
    assert {p["metadata"]["name"] for p in old} <= {p["metadata"]["name"] for p in shop.pods()}
    assert shop.condition("Available")["status"] == "True"


def test_crash_loop_names_pod_exit_code_and_where_to_look(shop: Services) -> None:
    shop.apply(command=["python3", "-c", "raise SystemExit(3)"])

    condition = shop.wait_reason("CrashLoop")

    assert "exits with code 3" in condition["message"]
    assert any(pod["metadata"]["name"] in condition["message"] for pod in shop.pods())
    assert "kubectl logs" in condition["message"]


def test_quota_is_named(shop: Services) -> None:
    shop.kubectl("create", "quota", "none", "--hard=pods=0")

    shop.apply()
    condition = shop.wait_reason("QuotaExceeded")

    assert "exceeded quota: none" in condition["message"]


def test_pending_pod_is_named_with_what_is_short(shop: Services) -> None:
    amounts = {"cpu": "900", "memory": "64Mi"}

    shop.apply(resources={"requests": amounts, "limits": {"memory": "256Mi"}})
    condition = shop.wait_reason("Unschedulable")

    assert "Insufficient cpu" in condition["message"]
    assert any(pod["metadata"]["name"] in condition["message"] for pod in shop.pods())


def test_missing_secret_is_named(shop: Services) -> None:
    secret = {"secretKeyRef": {"name": "catalog-db", "key": "password"}}

    shop.apply(env=[{"name": "DB_PASSWORD", "valueFrom": secret}])
    condition = shop.wait_reason("SecretNotFound")

    assert "Secret catalog-db does not exist (spec.env DB_PASSWORD)" in condition["message"]
    assert shop.pods() == [], "no pod that cannot start is rolled out"


def test_out_of_memory_is_named(shop: Services) -> None:
    shop.apply(
        command=["python3", "-c", "data = []\nwhile True: data.append(bytearray(1 << 20))"],
        resources={"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "48Mi"}},
    )

    condition = shop.wait_reason("OutOfMemory")

    assert "spec.resources.limits.memory" in condition["message"]


def test_cause_gone_means_ready_again(shop: Services) -> None:
    shop.apply(command=["python3", "-c", "raise SystemExit(3)"])
    shop.wait_reason("CrashLoop")

    shop.patch({"command": None})

    shop.wait_ready()
