"""Each check that a scenario ends with can fail: what it is to find is put there by hand."""

from __future__ import annotations

import json
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
        made.remember()
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


def somebody_elses_object(made: World) -> None:
    made.kubectl("label", "configmap", "bystander", "touched=yes")
    made.holds()


def shown_secret(made: World) -> None:
    made.kubectl("annotate", "psvc", "catalog", f"example/shown={CANARY}")
    made.holds()


def many_requests(made: World) -> None:
    made.proxy.seen.extend(list(made.proxy.seen) * world_module.MOST_REQUESTS)
    made.holds()


def writes_on(made: World) -> None:
    """A status field that somebody else keeps writing makes a write each time it is looked at."""
    crowd = [json.dumps({"spec": {"selector": {"x": str(number)}}}) for number in range(2)]
    repair = made.repair

    def repair_twice() -> None:
        made.kubectl("patch", "service", "catalog", "--type=merge", "-p", crowd[0])
        made.until(lambda: "x" not in made.get("service")["spec"]["selector"], "repaired once")
        repair()

    made.repair = repair_twice  # type: ignore[method-assign]  # one repair more than the check expects
    made.holds()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (changed_child, "I1"), (surplus_child, "I1: there is more"), (another_child, "I2"),
        (somebody_elses_object, "I4"),
        (writes_on, "I5"), (shown_secret, "I6"), (many_requests, "I7"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)  # fmt: skip
def test_the_check_finds_it(settled: World, harm: Callable[[World], None], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        harm(settled)
