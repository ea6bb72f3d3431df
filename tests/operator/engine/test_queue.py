"""The queue: driven by a clock of our own, compared with a model, and the rules one by one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from productionservice.engine.queue import RETRY_MOST, AsyncQueue, Key, Lane, WorkQueue
from productionservice.metrics import CONTROLLER


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Setup:
    clock: Clock = field(default_factory=Clock)
    queue: WorkQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = WorkQueue(self.clock, jitter=lambda: 1.0)

    def pop(self) -> Key | None:
        work = self.queue.pop()
        return work.key if work else None

    def drain(self) -> list[str]:
        names = []
        while (key := self.pop()) is not None:
            names.append(key[1])
            self.queue.done(key)
        return names


def key(name: str) -> Key:
    return ("shop", name)


def test_a_key_that_is_added_twice_comes_once() -> None:
    given_ = Setup()
    given_.queue.add(key("a"))
    given_.queue.add(key("a"))

    assert given_.drain() == ["a"]


def test_a_key_that_is_added_while_it_is_worked_on_comes_back_once_and_only_afterwards() -> None:
    given_ = Setup()
    given_.queue.add(key("a"))
    assert given_.pop() == key("a")
    given_.queue.add(key("a"))
    given_.queue.add(key("a"))

    assert given_.pop() is None
    given_.queue.done(key("a"))
    assert given_.drain() == ["a"]


def test_an_edit_overtakes_a_resync_even_of_the_same_key() -> None:
    given_ = Setup()
    for name in ("a", "b", "c"):
        given_.queue.add(key(name), Lane.RESYNC)
    given_.queue.add(key("c"), Lane.EDIT)

    assert given_.drain() == ["c", "a", "b"]


def test_edits_without_end_do_not_starve_the_resync() -> None:
    given_ = Setup()
    given_.queue.add(key("routine"), Lane.RESYNC)
    popped = []
    for number in range(10):
        given_.queue.add(key(f"edit-{number}"))
        work = given_.queue.pop()
        assert work is not None
        popped.append(work.key[1])
        given_.queue.done(work.key)

    assert "routine" in popped


def test_the_sooner_of_two_times_counts() -> None:
    given_ = Setup()
    given_.queue.add(key("a"), delay=10)
    given_.queue.add(key("a"), delay=2)
    given_.queue.add(key("a"), delay=60)

    assert given_.queue.next_due() == 2
    given_.clock.now = 1.9
    assert given_.pop() is None
    given_.clock.now = 2
    assert given_.drain() == ["a"]
    given_.clock.now = 100
    assert given_.drain() == []


def test_failures_back_off_to_five_minutes_and_success_starts_over() -> None:
    given_ = Setup()
    delays = []
    for _ in range(12):
        delays.append(given_.queue.retry(key("a")))
        given_.clock.now += delays[-1]
        assert given_.drain() == ["a"]

    assert delays[:5] == [0.5, 1, 2, 4, 8]
    assert delays[-1] == RETRY_MOST == 300
    given_.queue.succeeded(key("a"))
    assert given_.queue.retry(key("a")) == 0.5


def test_an_edit_does_not_wait_for_the_back_off() -> None:
    given_ = Setup()
    for _ in range(8):
        given_.queue.retry(key("a"))
    given_.queue.add(key("a"))

    assert given_.drain() == ["a"]


def test_the_servers_wish_to_wait_longer_is_met() -> None:
    assert Setup().queue.retry(key("a"), at_least=17) == 17


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "delayed", "resync", "pop", "done", "retry", "wait"]),
            st.sampled_from("abc"),
        ),
        max_size=80,
    )
)
def test_nothing_is_lost_and_nothing_is_worked_on_twice_at_once(steps: list[tuple[str, str]]) -> None:
    given_ = Setup()
    queue, wanted, working = given_.queue, set[str](), set[str]()
    for step, name in steps:
        match step:
            case "add" | "resync":
                queue.add(key(name), Lane.EDIT if step == "add" else Lane.RESYNC)
                wanted.add(name)
            case "delayed":
                queue.add(key(name), delay=5)
                wanted.add(name)
            case "retry":
                queue.retry(key(name))
                wanted.add(name)
            case "wait":
                given_.clock.now += 2
            case "pop" if (popped := given_.pop()) is not None:
                assert popped[1] not in working
                assert popped[1] in wanted
                wanted.remove(popped[1])
                working.add(popped[1])
            case "done" if name in working:
                queue.done(key(name))
                working.remove(name)
    for name in working:
        queue.done(key(name))
    given_.clock.now += 1000

    assert sorted(given_.drain()) == sorted(wanted)
    assert queue.next_due() is None


async def test_a_waiting_worker_wakes_for_a_new_key_for_a_due_one_and_for_the_end() -> None:
    queue = AsyncQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(key("a"), delay=0.01)
    work = await asyncio.wait_for(waiting, 5)
    assert work is not None
    assert work.key == key("a")

    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    assert await asyncio.wait_for(waiting, 5) is None


async def test_every_waiting_worker_gets_its_share() -> None:
    queue = AsyncQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for name in ("a", "b", "c"):
        queue.add(key(name))

    works = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert {work.key[1] for work in works if work} == {"a", "b", "c"}


def test_a_wait_begins_when_somebody_takes_keys() -> None:
    """A standby has had its keys for hours when it becomes the leader: that is no wait of anybody."""
    given_ = Setup()
    given_.queue.add(key("a"))
    given_.clock.now = 7200
    given_.queue.begin()
    given_.clock.now = 7203
    work = given_.queue.pop()
    assert work is not None
    assert work.waited == 3

    given_.queue.add(key("b"), delay=10)
    given_.clock.now = 7214
    given_.queue.begin()
    work = given_.queue.pop()
    assert work is not None
    assert work.waited == 1


def test_keys_that_have_become_due_count_though_nobody_takes_any() -> None:
    given_ = Setup()
    given_.queue.add(key("a"))
    given_.queue.add(key("b"), delay=10)
    assert given_.queue.due() == 1

    given_.clock.now = 10
    assert given_.queue.due() == 2


async def test_the_depth_is_measured_when_it_is_asked_for() -> None:
    queue = AsyncQueue()
    for name in ("a", "b"):
        queue.add(key(name))
    queue.measure()

    assert REGISTRY.get_sample_value("workqueue_depth", {"name": CONTROLLER, "controller": CONTROLLER}) == 2


def test_how_long_keys_are_worked_on_is_known_while_they_are_and_afterwards() -> None:
    given_ = Setup()
    for name in ("a", "b"):
        given_.queue.add(key(name))
        given_.pop()
        given_.clock.now += 2

    assert given_.queue.running() == [4, 2]
    assert given_.queue.done(key("a")) == 4
    assert given_.queue.running() == [2]
