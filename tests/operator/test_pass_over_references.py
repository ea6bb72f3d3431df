"""What a pass does about the Secrets that a spec refers to."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.errors import Rejected
from tests.operator.test_reconcile import KEY, STATUS, Pass


@pytest.fixture
def world() -> Pass:
    return Pass()


SECRET_ENV = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]


def secret(version: int, *keys: str) -> dict[str, Any]:
    write = {"manager": "x", "time": str(version), "fieldsV1": {"f:data": {f"f:{k}": {} for k in keys}}}
    return {
        "metadata": {
            "name": "db", "namespace": "shop", "uid": "s", "resourceVersion": str(version), "managedFields": [write],
        }
    }  # fmt: skip


async def test_no_pod_is_rolled_out_that_could_not_start(world: Pass) -> None:
    world.edit(env=SECRET_ENV)
    assert await world.reconcile(KEY) is None, "the Secret's own event wakes the service"
    assert "create Deployment catalog" not in world.cluster.writes()
    assert world.condition("ReferencesReady")["reason"] == "SecretNotFound"
    assert world.condition("Ready")["reason"] == "SecretNotFound"
    assert world.caches.referring("Secret", ("shop", "db")) == [KEY]

    world.caches.contents["Secret"].put(secret(1, "password"))
    await world.reconcile(KEY)
    assert "create Deployment catalog" in world.cluster.writes()
    assert world.condition("ReferencesReady")["status"] == "True"


async def test_another_password_restarts_the_pods_and_a_lost_key_does_not(world: Pass) -> None:
    world.edit(env=SECRET_ENV)
    world.caches.contents["Secret"].put(secret(1, "password"))
    await world.reconcile(KEY)
    world.cluster.writes()

    world.caches.contents["Secret"].put(secret(2, "password"))
    await world.reconcile(KEY)
    assert "apply Deployment catalog" in world.cluster.writes()

    world.caches.contents["Secret"].put(secret(3, "user"))
    await world.reconcile(KEY)
    assert world.cluster.writes() == [STATUS]
    assert world.condition("ReferencesReady")["reason"] == "KeyNotFound"


async def test_pods_do_not_restart_because_the_operator_may_no_longer_look(world: Pass) -> None:
    world.edit(env=SECRET_ENV)
    world.caches.contents["Secret"].put(secret(1, "password"))
    await world.reconcile(KEY)
    world.cluster.writes()

    world.caches.serve("Secret", None, Rejected("forbidden", status=403))
    await world.reconcile(KEY)
    assert world.cluster.writes() == [STATUS]
    assert world.condition("ReferencesReady")["reason"] == "NotLookedAt"
