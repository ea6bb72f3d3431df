"""CallsAllowed: every callee that does not let the service in is named, and the worst comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from productionservice.effective import compute_effective
from productionservice.plan import Applied
from productionservice.status.called import evaluate
from productionservice.status.inputs import StatusInput
from tests.support.builders import make_service


def found(admitted: Mapping[str, Sequence[str] | None], *callees: str) -> tuple[str, str] | None:
    service = make_service(network={"allowTo": [{"service": name} for name in callees]})
    effective = compute_effective(service.spec)
    finding = evaluate(StatusInput(service, effective, Applied(()), None, (), admitted=admitted))
    return (finding.reason.value, finding.message) if finding else None


def test_a_service_that_calls_nobody_says_nothing() -> None:
    assert found({}) is None


@pytest.mark.parametrize(
    ("admitted", "reason"),
    [
        ({"a": ["catalog"], "b": ["web", "catalog"]}, "CallsAllowed"),
        ({"a": ["catalog"], "b": ["web"]}, "CalleeDoesNotAllow"),
        ({"a": ["catalog"], "b": None}, "CalleeNotFound"),
        ({"a": ["catalog"]}, "CalleeNotFound"),
        ({"a": [], "b": None}, "CalleeDoesNotAllow"),
    ],
)
def test_all_have_to_answer(admitted: Mapping[str, Sequence[str] | None], reason: str) -> None:
    answer = found(admitted, "a", "b")

    assert answer is not None
    assert answer[0] == reason


def test_each_gap_is_named_with_where_and_what_to_write() -> None:
    answer = found({"a": [], "b": None, "c": ["catalog"]}, "c", "b", "a")

    assert answer is not None
    assert answer[1] == (
        "a does not list catalog: add {service: catalog} to its spec.network.allowFrom "
        "(spec.network.allowTo[2].service); there is no ProductionService b (spec.network.allowTo[1].service)"
    )
