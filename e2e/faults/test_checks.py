"""Each check that a scenario ends with can fail: what it is to find is put there by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from e2e.cluster.providers import Cluster
from e2e.faults import world as world_module
from e2e.faults.world import CANARY, World, world
from productionservice import labels

pytestmark = pytest.mark.api


@pytest.fixture
def settled(api_cluster: Cluster) -> Iterator[World]:
    """A service with everything as it should be."""
    with world(api_cluster, {}) as made:
        made.apply()
        made.converged()
        yield made


def changed_child(made: World) -> None:
    made.operator.stop()
    made.kubectl("patch", "service", "catalog", "--type=merge", "-p", '{"spec":{"selector":{"x":"y"}}}')
    made.as_rendered("catalog")


def surplus_child(made: World) -> None:
    made.operator.stop()
    service = made.get("service")
    spec = {key: service["spec"][key] for key in ("selector", "ports")}
    metadata = {"name": "surplus", "labels": {labels.SERVICE: "catalog"}}
    made.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    made.as_rendered("catalog")


def another_child(made: World) -> None:
    made.kubectl("delete", "service", "catalog")
    made.until(lambda: made.exists("service"), "it is made again")
    made.holds()


def old_condition(made: World) -> None:
    made.operator.stop()
    conditions = made.get("psvc")["status"]["conditions"]
    conditions[-1]["observedGeneration"] = 0
    status = json.dumps({"status": {"conditions": conditions}})
    made.kubectl("patch", "psvc", "catalog", "--type=merge", "--subresource=status", "-p", status)
    made.as_observed()


def somebody_elses_service(made: World) -> None:
    made.kubectl("label", "service", "bystander", "touched=yes")
    made.holds()


def somebody_elses_deployment(made: World) -> None:
    """Owned without a change: an apply of what is there already."""
    deployment = made.get("deployment", "bystander")
    same = {key: deployment[key] for key in ("apiVersion", "kind")}
    same |= {"metadata": {"name": "bystander"}, "spec": {"replicas": 0}}
    made.create(same, "--server-side", f"--field-manager={labels.FIELD_MANAGER}", "--force-conflicts")
    made.holds()


def somebody_elses_policy(made: World) -> None:
    made.kubectl(
        "patch", "networkpolicy", "bystander", "--type=merge", "-p", '{"spec":{"policyTypes":["Egress"]}}'
    )
    made.holds()


def writes_without_end(made: World) -> None:
    """Somebody edits a child again and again, so that the operator repairs it again and again."""
    over = threading.Event()

    def meddle() -> None:
        while not over.is_set():
            made.kubectl(
                "patch", "service", "catalog", "--type=merge", "-p", '{"spec":{"selector":{"x":"y"}}}'
            )

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        made._at_rest()  # noqa: SLF001 - the check itself: holds() would first wait for the meddler's end
    finally:
        over.set()
        meddler.join()


def shown_secret(made: World) -> None:
    made.kubectl("annotate", "psvc", "catalog", f"example/shown={CANARY}")
    made.holds()


def many_requests(made: World) -> None:
    made.proxy.seen.extend(list(made.proxy.seen) * world_module.MOST_REQUESTS)
    made.holds()


def writes_on(made: World) -> None:
    """One repair more than the check expects."""
    crowd = [json.dumps({"spec": {"selector": {"x": str(number)}}}) for number in range(2)]
    repair = made.repair

    def repair_twice() -> None:
        made.kubectl("patch", "service", "catalog", "--type=merge", "-p", crowd[0])
        made.until(lambda: "x" not in made.get("service")["spec"]["selector"], "repaired once")
        repair()

    made.repair = repair_twice  # type: ignore[method-assign]  # the harm itself
    made.holds()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (changed_child, "I1"), (surplus_child, "I1: there is more"), (another_child, "I2"),
        (old_condition, "I3"), (somebody_elses_service, "I4"), (somebody_elses_deployment, "I4"),
        (somebody_elses_policy, "I4"), (writes_on, r"I5: \["), (writes_without_end, "I5: it goes on"),
        (shown_secret, "I6"), (many_requests, "I7"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)  # fmt: skip
def test_the_check_finds_it(
    settled: World, harm: Callable[[World], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "REST_SECONDS", 6.0)
    with pytest.raises(AssertionError, match=said):
        harm(settled)
