"""When a replica is not ready, when it needs a new process, and what /metrics says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest
import structlog
from aiohttp.test_utils import make_mocked_request

from productionservice.engine.answers import NotFound
from productionservice.engine.client import Client, Resource
from productionservice.engine.health import (
    ANSWERS_SECONDS,
    DEAD_SECONDS,
    STREAM_SECONDS,
    STUCK_SECONDS,
    Figures,
    Health,
)
from productionservice.engine.parent import Parent
from productionservice.engine.queue import AsyncQueue
from productionservice.engine.reflector import Reflector
from productionservice.engine.resync import Resync
from productionservice.engine.store import Store
from productionservice.engine.stream import StreamCheck
from productionservice.errors import OperatorError, Rejected

PODS = Resource("v1", "pods")


@dataclass
class State:
    """What a Reflector, the Resync, the StreamCheck and the Client say of themselves."""

    resource: Resource = PODS
    age: float = 0.0
    dead_for: float = 0.0
    answered: float = 1000.0
    unserved: OperatorError | None = None

    def __post_init__(self) -> None:
        self.synced = asyncio.Event()
        self.synced.set()


def health(state: State, *, now: float = 1000.0) -> Health:
    return Health(
        cast("Client", state), [cast("Reflector[Any]", state)], cast("Resync", state), cast("StreamCheck", state),
        clock=lambda: now,
    )  # fmt: skip


def test_a_replica_is_ready_when_everything_is_listed_and_every_watch_speaks() -> None:
    assert (health(State()).faults(), health(State()).stuck()) == ([], [])


@pytest.mark.parametrize(
    ("state", "fault", "stuck"),
    [
        (State(age=DEAD_SECONDS + 1), "pods: the watch has been silent for 181 s", False),
        (State(age=STUCK_SECONDS + 1), "pods: the watch has been silent", True),
        (
            State(age=STUCK_SECONDS + 1, answered=999 - ANSWERS_SECONDS),
            "pods: the watch has been silent",
            False,
        ),
        (State(dead_for=1), "services: the stream has missed changes for 1 s", False),
        (State(dead_for=STREAM_SECONDS + 1), "services: the stream has missed changes", True),
    ],
    ids=["silent", "stuck", "the API server is away", "stream", "dead stream"],
)
def test_a_dead_watch_is_said_and_a_new_process_asked_for_only_where_it_helps(
    state: State, fault: str, stuck: bool
) -> None:
    found = health(state)

    assert any(fault in line for line in found.faults())
    assert bool(found.stuck()) is stuck


async def test_the_log_says_when_a_probe_begins_to_fail_and_why_and_not_each_time() -> None:
    state = State()
    found = health(state)
    request = make_mocked_request("GET", "/")
    with structlog.testing.capture_logs() as lines:
        for age in (0, 0, STUCK_SECONDS + 1, STUCK_SECONDS + 9, 0):
            state.age = age
            await found.ready(request)
            await found.alive(request)
        found.stopping = True
        await found.ready(request)

    assert [line["event"] for line in lines] == [
        "ready",
        "not ready any longer",
        "a new process is needed: the liveness probe fails from now on",
        "ready",
    ]
    assert lines[1]["reasons"] == ["pods: the watch has been silent for 601 s"]


async def test_a_replica_that_is_not_ready_says_so_in_its_figures() -> None:
    figures = Figures(health(State(dead_for=1)), [], AsyncQueue(), Store(Parent.of))
    answer = await figures.metrics(make_mocked_request("GET", "/metrics"))

    assert "productionservice_ready 0.0" in cast("bytes", answer.body).decode()


async def test_a_kind_that_is_forbidden_is_told_and_one_that_is_not_installed_is_not() -> None:
    states = [
        State(Resource("v1", "pods"), unserved=Rejected("may not list", status=403)),
        State(Resource("v1", "services")),
        State(Resource("monitoring.coreos.com/v1", "servicemonitors"), unserved=NotFound("no such kind")),
    ]
    reflectors = [cast("Reflector[Any]", state) for state in states]
    figures = Figures(health(State()), reflectors, AsyncQueue(), Store(Parent.of))
    answer = await figures.metrics(make_mocked_request("GET", "/metrics"))
    text = cast("bytes", answer.body).decode()

    for resource, value in (("pods", 1), ("services", 0), ("servicemonitors", 0)):
        assert f'productionservice_informer_forbidden{{resource="{resource}"}} {value}.0' in text


async def test_of_the_watches_of_several_namespaces_the_most_silent_one_is_told() -> None:
    reflectors = [cast("Reflector[Any]", State(age=age)) for age in (3.0, 250.0, 5.0)]
    parents: Store[Parent] = Store(Parent.of)
    for number, status in enumerate(("True", "True", "False")):
        metadata = {"namespace": "shop", "name": f"s{number}", "uid": "u", "resourceVersion": str(number + 1)}
        parents.put({"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": status}]}})
    figures = Figures(health(State()), reflectors, AsyncQueue(), parents)
    answer = await figures.metrics(make_mocked_request("GET", "/metrics"))
    text = cast("bytes", answer.body).decode()

    assert "productionservice_ready 1.0" in text
    assert 'productionservice_informer_last_event_age_seconds{resource="pods"} 250.0' in text
    assert 'productionservice_conditions{status="True",type="Ready"} 2.0' in text
    assert 'productionservice_conditions{status="False",type="Ready"} 1.0' in text
    assert 'productionservice_conditions{status="True",type="Paused"} 0.0' in text, "there from the start"
