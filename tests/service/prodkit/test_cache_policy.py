"""The cache's decisions: for all times and chances."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodkit.cache.entry import Entry, decode, encode
from prodkit.cache.memory import Memory
from prodkit.cache.policy import (
    Age,
    Policy,
    age,
    backoff,
    lease_lifetime,
    poll_pause,
    soft_lifetime,
    storage_key,
)

chances = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0, 86_400)


@given(soft=seconds, absent=seconds, chance=chances)
def test_a_value_is_fresh_at_least_its_time_and_a_tenth_more_at_most(
    soft: float, absent: float, chance: float
) -> None:
    policy = Policy(soft_seconds=soft, absent_seconds=absent)
    assert soft <= soft_lifetime(policy, absent=False, chance=chance) <= soft * 1.1
    assert soft_lifetime(policy, absent=True, chance=chance) <= min(soft, absent) * 1.1


@given(now=seconds, soft=seconds, stale=seconds)
def test_a_value_only_ages(now: float, soft: float, stale: float) -> None:
    order = list(Age)
    ages = [age(now + step, soft_until=soft, hard_until=soft + stale) for step in (0, 1, 10, 100, 200_000)]
    assert ages == sorted(ages, key=order.index)
    assert ages[-1] is Age.GONE


@given(failures=st.integers(1, 10_000), chance=chances)
def test_pauses_grow_to_their_bound_and_differ(failures: int, chance: float) -> None:
    policy = Policy()
    assert 0.5 <= backoff(policy, failures, chance=chance) <= 45
    assert backoff(policy, failures, chance=chance) <= backoff(policy, failures + 1, chance=chance)
    assert backoff(policy, failures, chance=0) < backoff(policy, failures, chance=0.9)


@given(attempt=st.integers(0, 10_000), chance=chances)
def test_waiting_processes_look_every_15_to_125_ms(attempt: int, chance: float) -> None:
    assert 0.015 <= poll_pause(attempt, chance=chance) <= 0.125


def test_a_lease_outlives_the_load() -> None:
    assert lease_lifetime(Policy(lease_seconds=2), 0.1) == 2
    assert lease_lifetime(Policy(lease_seconds=2), 5) == 15


@given(st.text(), st.text())
def test_names_tell_keys_apart_and_carry_nothing_of_them(one: str, other: str) -> None:
    names = {storage_key("app", "schema", "products", 3, key) for key in (one, other)}
    assert len(names) == len({one, other})
    assert all(name.startswith("app:schema:products:3:") and len(name) == 54 for name in names)


@given(value=st.binary(min_size=1), times=st.tuples(seconds, seconds, seconds), started=st.integers(0, 2**53))
def test_an_entry_survives_its_form(value: bytes, times: tuple[float, float, float], started: int) -> None:
    entry = Entry(value, *times)
    back = decode(encode(entry, started))
    assert back is not None
    assert (back.value, back.size) == (value, len(value))
    kept = (back.soft_until, back.hard_until, back.load_seconds)
    assert kept == pytest.approx(times, abs=0.001)


@given(st.one_of(st.none(), st.binary()))
def test_rubbish_is_no_entry_and_no_error(stored: bytes | None) -> None:
    found = decode(stored)
    assert found is None or stored is not None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 50))))
def test_the_memory_keeps_its_bounds(puts: list[tuple[int, int]]) -> None:
    memory: Memory[int] = Memory(max_entries=5, max_bytes=100)
    for key, size in puts:
        memory.put(str(key), Entry(key, 0, 0, 0, size), 0)
        assert len(memory) <= 5
        assert memory.bytes <= 100
        assert memory.get(str(key)) is not None
    memory.clear()
    assert (len(memory), memory.bytes) == (0, 0)


def test_a_time_that_cannot_be_is_named() -> None:
    with pytest.raises(
        ValueError, match="stale_seconds: -1 cannot be used: write seconds between 0 and 86400"
    ):
        Policy(stale_seconds=-1)
