"""A pause has an end, and says who and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from productionservice.pause import DEFAULT, read_pause

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def test_what_the_annotation_says() -> None:
    pause = read_pause("until=2026-12-01T13:00:00+01:00; by=alice; why=incident 4711", since=None, now=NOW)

    assert pause is not None
    assert (pause.until, pause.by, pause.why, pause.active) == (NOW, "alice", "incident 4711", False)


def test_without_the_annotation_there_is_no_pause() -> None:
    assert read_pause(" ", since=None, now=NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "until=tomorrow; by=me",
        "until=2026-12-01T13:00:00",
        "by=alice;;=;",
        "until=0001-01-01T00:00:00+10:00; by=a",
    ],
)
def test_one_without_a_readable_end_lasts_an_hour_and_says_what_to_write(text: str) -> None:
    first = read_pause(text, since=None, now=NOW)
    later = read_pause(text, since=NOW, now=NOW + timedelta(minutes=59))
    ended = read_pause(text, since=NOW, now=NOW + DEFAULT)

    assert first is not None
    assert later is not None
    assert ended is not None
    assert (first.active, later.active, ended.active) == (True, True, False)
    assert first.until == later.until == NOW + DEFAULT
    assert "until=2026-" in first.fault
