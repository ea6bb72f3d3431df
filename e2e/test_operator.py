"""The operator itself: restarts, upgrades and removal, and what it writes meanwhile."""

from __future__ import annotations

import json

import pytest

from e2e.audit import AuditLog
from e2e.eventually import eventually
from e2e.install import NAMESPACE, RELEASE, install_operator, operator_helm, uninstall_operator
from e2e.services import Services

pytestmark = pytest.mark.node

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


def restart(shop: Services) -> None:
    shop.cluster.kubectl("-n", NAMESPACE, "rollout", "restart", f"deployment/{RELEASE}")
    shop.cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")


def leader(shop: Services) -> str:
    lease = json.loads(shop.cluster.kubectl("-n", NAMESPACE, "get", "lease", RELEASE, "-o", "json"))
    return str(lease["spec"].get("holderIdentity", ""))


def test_a_restart_writes_nothing(shop: Services) -> None:
    shop.apply(replicas={"min": 2, "max": 3})
    shop.wait_ready()
    before = leader(shop)

    log = AuditLog(shop.cluster.audit_log)

    restart(shop)

    def taken_over() -> None:
        assert leader(shop) not in {"", before}

    eventually(taken_over, timeout=60)
    # The new leader has looked at everything once it has reverted an edit made after it took over.
    shop.kubectl(
        "patch", "service", "catalog", "--type=merge", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}'
    )

    def reverted() -> None:
        assert shop.get("service")["spec"]["sessionAffinity"] == "None"

    eventually(reverted, timeout=30)
    assert log.writes(OPERATOR, shop.namespace) == ["patch services catalog"]


def test_upgrade_restarts_no_service_and_uninstall_keeps_them_serving(shop: Services) -> None:
    shop.apply()
    shop.wait_ready()
    pods = {pod["metadata"]["uid"] for pod in shop.pods()}

    install_operator(shop.cluster, {"podAnnotations": {"example/upgraded": "yes"}})
    shop.wait_ready()
    assert {pod["metadata"]["uid"] for pod in shop.pods()} == pods

    uninstall_operator(shop.cluster)
    try:
        assert RELEASE not in operator_helm(shop.cluster, "list", "-q")
        assert shop.exists("psvc"), "the CRD and the services outlive the operator"
        assert {pod["metadata"]["uid"] for pod in shop.pods()} == pods
        shop.kubectl("delete", "psvc", "catalog", "--timeout=20s")
    finally:
        install_operator(shop.cluster)
