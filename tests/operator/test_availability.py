"""What disruptions do to a service: the warnings in words, and the arithmetic behind them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productionservice.api.v1alpha1 import Spec
from productionservice.availability import Outlook, explain, outlook, problems
from productionservice.effective import compute_effective
from tests.support.builders import children, make_service
from tests.support.specs import specs

LONGEST = 256
"""Characters of a warning that the API server passes on whole."""
SMALL = st.fixed_dictionaries(
    {
        "environment": st.sampled_from(["development", "staging", "production"]),
        "replicas": st.one_of(
            st.just({}),
            st.integers(1, 10).map(lambda low: {"min": low}),
            st.integers(1, 10).map(lambda high: {"max": high}),
            st.tuples(st.integers(1, 10), st.integers(0, 5)).map(
                lambda pair: {"min": pair[0], "max": sum(pair)}
            ),
        ),
        "availability": st.fixed_dictionaries(
            {},
            optional={
                "maxUnavailable": st.integers(1, 12),
                "zones": st.sampled_from(["Preferred", "Required", "Ignored"]),
            },
        ),
    }
)
"""Every combination of replicas, budget and zones that a small service can have."""


WARNED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"replicas": {"min": 1}},
        "spec.replicas.min",
        "one pod in production: a drain interrupts the service; write 2 or more",
    ),
    (
        {"replicas": {"max": 2}},
        "spec.replicas.max",
        "2 is fewer than production's default of 3 pods; write spec.replicas.min if that is meant",
    ),
    (
        {"availability": {"maxUnavailable": 2}},
        "spec.availability.maxUnavailable",
        "2 of 3 pods would lose the majority; 1 is used, so write that, or more pods",
    ),
    (
        {"availability": {"zones": "Ignored"}},
        "spec.availability.zones",
        "Ignored: all 3 pods may run in one zone, and a lost zone then leaves 0 of 3; write Preferred",
    ),
    (
        {"environment": "development", "availability": {"zones": "Required"}},
        "spec.availability.zones",
        "Required: one pod is in one zone whatever is written here, and that zone lost leaves 0 of 1; "
        "write 2 or more in spec.replicas.min",
    ),
    (
        {"shutdown": {"propagationSeconds": 0}},
        "spec.shutdown.propagationSeconds",
        "0: a leaving pod stops before the cluster has heard of it, so every rollout and drain loses requests; "
        "write 5",
    ),
    (
        {"shutdown": {"drainSeconds": 900, "maxSeconds": 1000}},
        "spec.shutdown.drainSeconds",
        "900: a drain would wait 915 s for each pod, and a cluster autoscaler takes the node after 600 s; "
        "write 585 or less",
    ),
    (
        {
            "replicas": {"min": 2, "max": 6},
            "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "0.6"}},
        },
        "spec.replicas.cpuPercent",
        "70: while a drain takes 1 of 2 pods the others need 140 % of their CPU request, and "
        "resources.limits.cpu gives 120 %; write 60 or less, or a higher limit",
    ),
]
"""Each warning: a spec that earns it, the field that it names, and its words."""


def warnings(zones: int | None = None, **spec: Any) -> dict[str, str]:
    parsed = make_service(**spec).spec
    return {found.field: found.message for found in problems(parsed, compute_effective(parsed), zones)}


def look(**spec: Any) -> Outlook:
    parsed = make_service(**spec).spec
    return outlook(parsed, compute_effective(parsed))


def said(zones: int | None = None, **spec: Any) -> str:
    parsed = make_service(**spec).spec
    return explain(parsed, compute_effective(parsed), zones)


@pytest.mark.parametrize("spec", [{}, {"environment": "staging"}, {"environment": "development"}])
def test_the_defaults_are_nothing_to_warn_of(spec: dict[str, Any]) -> None:
    assert warnings(**spec) == {}


@pytest.mark.parametrize(("spec", "field", "message"), WARNED, ids=[field for _, field, _ in WARNED])
def test_what_works_but_should_not_be_so_is_said_in_words(
    spec: dict[str, Any], field: str, message: str
) -> None:
    assert warnings(**spec) == {field: message}


def test_required_zones_on_nodes_of_one_zone_spread_nothing() -> None:
    required: dict[str, Any] = {"availability": {"zones": "Required"}}

    assert warnings(zones=1, **required) == {
        "spec.availability.zones": "Required: all nodes are in 1 zone, so nothing is spread, and that zone lost "
        "leaves 0 of 3; write Ignored, or add nodes in another zone"
    }
    assert warnings(zones=2, **required) == warnings(**required) == {}


def test_what_would_happen_is_one_sentence() -> None:
    assert said() == (
        "with 3 pods, and 1 more during a rollout, a node drained then leaves 2 of 3 and waits at most 35 s a pod, "
        "then up to 60 s for its replacement; a lost zone leaves 1 of 3 if there are two zones and they have room"
    )
    assert said(zones=3, availability={"zones": "Required"}).endswith("a lost zone leaves 2 of 3")
    assert said(zones=3, availability={"zones": "Ignored"}).endswith("a lost zone leaves perhaps 0 of 3")
    assert said(zones=1).endswith("a lost zone leaves 0 of 3")
    assert said(replicas={"min": 1}).startswith(
        "with 1 pod, and 1 more during a rollout, a node drained then leaves 0 of 1 "
    )


def test_following_the_advice_ends_the_warning() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "600m"}}
    replicas = {"min": 2, "max": 6}

    assert warnings(replicas={**replicas, "cpuPercent": 61}, resources=resources) != {}
    assert warnings(replicas={**replicas, "cpuPercent": 60}, resources=resources) == {}
    assert warnings(shutdown={"drainSeconds": 585, "maxSeconds": 1000}) == {}


@pytest.mark.parametrize(("pods", "zones", "left"), [(3, 3, 2), (3, 2, 1), (5, 2, 2), (2, 3, 1), (1, 3, 0)])
def test_the_fullest_zone_is_the_one_that_is_lost(pods: int, zones: int, left: int) -> None:
    assert look(replicas={"min": pods}).zone_leaves(zones) == left


@given(spec=SMALL)
def test_no_combination_ever_blocks_a_drain(spec: dict[str, Any]) -> None:
    """The disruption controller's own sum, on the budget that is really made."""
    made = children(make_service(**spec))
    budget = made["PodDisruptionBudget"]["spec"]
    seen = look(**spec)
    serving = (
        made["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
        if "HorizontalPodAutoscaler" in made
        else seen.pods
    )
    must_stay = serving - budget["maxUnavailable"]
    allowed = serving - must_stay

    assert allowed >= 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert seen.drain_leaves == serving - allowed


@given(spec=SMALL)
def test_drains_leave_a_majority_of_three_or_more_and_one_of_two(spec: dict[str, Any]) -> None:
    seen = look(**spec)

    assert seen.drain_leaves > seen.pods / 2 or seen.pods < 3
    assert seen.drain_leaves >= 1 or seen.pods == 1


@given(spec=SMALL)
def test_a_rollout_takes_no_pod_before_a_new_one_serves(spec: dict[str, Any]) -> None:
    strategy = children(make_service(**spec))["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    seen = look(**spec)

    assert strategy["maxUnavailable"] == 0
    assert strategy["maxSurge"] == "25%"
    assert seen.surge == -(-seen.pods // 4) >= 1


@given(spec=SMALL, zones=st.integers(1, 4))
def test_a_service_that_one_drain_ends_never_goes_unmentioned(spec: dict[str, Any], zones: int) -> None:
    seen = look(**spec)
    warned = warnings(zones=zones, **spec)

    if seen.drain_leaves == 0 and spec["environment"] != "development":
        assert {"spec.replicas.min", "spec.replicas.max"} & warned.keys()
    assert 0 <= seen.zone_leaves(zones) < seen.pods
    assert seen.zone_leaves(zones) >= 1 or zones == 1 or seen.pods == 1


@given(spec=specs, zones=st.none() | st.integers(1, 4))
def test_every_message_names_a_field_of_the_spec_and_fits_the_api_servers_limit(
    spec: dict[str, Any], zones: int | None
) -> None:
    parsed = make_service(**spec).spec
    effective = compute_effective(parsed)

    for problem in problems(parsed, effective, zones):
        first = problem.field.removeprefix("spec.").split(".")[0]
        assert first in Spec.model_json_schema()["properties"]
        assert "write " in problem.message
        assert len(f"{problem.field}: {problem.message}") <= LONGEST
    assert len(f"what to expect: {explain(parsed, effective, zones)}") <= LONGEST
