"""What counts as a lost request, and what does not."""

from __future__ import annotations

from collections import Counter

from tests.service.eight_kinds import CONNECTIONS, KINDS, NEVER, Answers


def test_there_are_eight_kinds_and_two_hundred_connections() -> None:
    assert len(KINDS) == 8
    assert CONNECTIONS >= 200


def test_refusals_of_the_limiter_and_of_the_drain_are_told_from_losses() -> None:
    seen = Answers(
        Counter(
            {
                "ok": 100,
                "status 503 too many requests at once: try again": 7,
                "status 503": 5,
                "status 500": 1,
                "reset": 1,
                "refused": 1,
                "half a response": 1,
                "pipelined unanswered": 1,
                NEVER: 1,
            }
        )
    )

    assert (seen.refused, seen.cut_short, seen.failures) == (7, 5, 6)
