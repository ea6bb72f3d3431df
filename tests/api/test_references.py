"""Secrets and ConfigMaps that a service refers to, pauses, and handed-over objects, on a real API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.eventually import eventually
from productionservice import labels
from productionservice.config import OperatorConfig
from productionservice.engine.client import Client
from productionservice.engine.contents import SOURCES, Contents
from productionservice.engine.login import load_login
from tests.api.team import Team

pytestmark = pytest.mark.api

ENV = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]


def mark(team: Team) -> str:
    """What the pods have seen of their Secrets and ConfigMaps."""
    found: dict[str, str] = team.get("deployment")["spec"]["template"]["metadata"]["annotations"]
    return found.get(labels.RESTART, "")


def test_a_service_waits_for_its_secret_and_restarts_with_a_new_password_only(team: Team) -> None:
    team.apply(env=ENV)

    def waits() -> None:
        assert team.condition("ReferencesReady")["reason"] == "SecretNotFound"
        assert team.exists("service"), "what needs no Secret is made at once"

    eventually(waits, timeout=30)
    assert not team.exists("deployment")

    team.kubectl("create", "secret", "generic", "db", "--from-literal=user=shop")

    def lacks_the_key() -> None:
        assert team.condition("ReferencesReady")["reason"] == "KeyNotFound"

    eventually(lacks_the_key, timeout=30)
    assert not team.exists("deployment")
    team.kubectl("patch", "secret", "db", "--type=merge", "-p", '{"stringData":{"password":"one"}}')
    team.converged()
    first = mark(team)

    team.kubectl("label", "secret", "db", "team=shop")
    team.repair()
    assert mark(team) == first

    team.kubectl("patch", "secret", "db", "--type=merge", "-p", '{"stringData":{"password":"two"}}')

    def restarted() -> None:
        assert mark(team) != first

    eventually(restarted, timeout=30)
    for number in range(4):  # some of these fall into one second, which is as fine as Kubernetes' record is
        before = mark(team)
        new = f'{{"stringData":{{"password":"more-{number}"}}}}'
        team.kubectl("patch", "secret", "db", "--type=merge", "-p", new)

        def restarted_again(before: str = before) -> None:
            assert mark(team) != before

        eventually(restarted_again, timeout=30)
    team.operator.restart()
    team.repair()
    second = mark(team)
    team.kubectl("delete", "secret", "db")
    eventually(waits, timeout=30)
    assert mark(team) == second, "running pods are left alone"


async def test_of_secrets_only_metadata_is_sent(team: Team) -> None:
    team.kubectl("create", "secret", "generic", "canary", "--from-literal=password=do-not-send-me")
    login = load_login(OperatorConfig(kubeconfig=Path(team.cluster.kubeconfig_path)))
    async with Client(login) as client:
        resource = SOURCES["Secret"]
        [(items, version)] = [page async for page in client.pages(resource, team.namespace)]
        assert Contents.of(items[0]).keys == frozenset({"password"})
        team.kubectl(
            "patch", "secret", "canary", "--type=merge", "-p", '{"stringData":{"more":"do-not-send-me"}}'
        )
        async for event in client.watch(resource, team.namespace, "", version):
            items.append(event.object)
            if event.type == "MODIFIED":
                break
    assert Contents.of(items[-1]).keys == frozenset({"password", "more"})
    assert [item for item in items if "data" in item] == []


def paused(until: datetime) -> str:
    return f"{labels.PAUSED}=until={until.strftime('%Y-%m-%dT%H:%M:%SZ')}; by=alice; why=incident 4711"


def test_a_paused_service_is_left_alone_until_the_pause_ends(team: Team) -> None:
    team.apply()
    team.converged()
    team.kubectl("annotate", "psvc", "catalog", paused(datetime.now(UTC) + timedelta(hours=1)))

    def is_paused() -> None:
        assert team.condition("Paused")["status"] == "True"

    eventually(is_paused, timeout=30)
    assert "by alice: incident 4711" in team.condition("Paused")["message"]
    team.apply(port=8080)

    def waits() -> None:
        assert team.condition("Applied")["reason"] == "Paused"

    eventually(waits, timeout=30)
    [port, *_] = team.get("deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == 8000

    team.kubectl(
        "annotate", "--overwrite", "psvc", "catalog", paused(datetime.now(UTC) + timedelta(seconds=3))
    )
    team.converged()
    assert team.condition("Paused")["reason"] == "PauseEnded"
    [port, *_] = team.get("deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == 8080


def test_an_object_that_was_handed_over_is_taken_and_keeps_what_is_not_ours(team: Team) -> None:
    theirs: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "catalog", "annotations": {"team": "shop"}},
        "spec": {"selector": {"app": "old"}, "ports": [{"name": "web", "port": 8080}]},
    }  # fmt: skip
    team.create(theirs)
    uid = team.get("service")["metadata"]["uid"]
    team.apply()

    def refused() -> None:
        assert labels.ADOPT in team.condition("Applied")["message"]

    eventually(refused, timeout=30)
    team.kubectl("annotate", "service", "catalog", f"{labels.ADOPT}=catalog")
    # No event tells about other people's objects: it is looked at again every 30 s.
    team.converged(timeout=45)
    taken = team.get("service")
    assert taken["metadata"]["uid"] == uid
    assert taken["metadata"]["ownerReferences"][0]["name"] == "catalog"
    assert taken["metadata"]["annotations"]["team"] == "shop"
    assert [port["port"] for port in taken["spec"]["ports"]] == [80]


def test_a_call_that_is_not_allowed_on_the_other_side_is_said_and_taken_back(team: Team) -> None:
    def says(reason: str) -> None:
        assert team.condition("CallsAllowed")["reason"] == reason

    team.apply(network={"allowTo": [{"service": "pricing"}]})
    eventually(lambda: says("CalleeNotFound"), timeout=30)
    team.apply("pricing")
    eventually(lambda: says("CalleeDoesNotAllow"), timeout=30)
    team.apply("pricing", network={"allowFrom": [{"service": "catalog"}]})
    eventually(lambda: says("CallsAllowed"), timeout=30)
    team.operator.restart()
    team.repair()
    says("CallsAllowed")
    team.kubectl("delete", "psvc", "pricing", "--wait=false")
    eventually(lambda: says("CalleeNotFound"), timeout=30)
