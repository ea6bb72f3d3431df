"""What one pass decides to do, and in which order."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from productionservice import labels
from productionservice.children import CHILDREN, Manifest
from productionservice.errors import NotOwned, Rejected, Waiting
from productionservice.plan import Action, Applied, Change, Observed, Plan, Result, ref_of
from tests.support.builders import UID, make_service, observe, plan_for, ref, rendered

OTHER = "00000000-0000-0000-0000-000000000000"

ON_GATEWAY: dict[str, Any] = {
    "replicas": {"max": 9},
    "network": {"allowTo": [{"fqdn": "api.example", "port": 443}]},
    "expose": {"hosts": ["a.example"], "tls": {"issuer": {"name": "acme"}}},
}
ON_INGRESS = {**ON_GATEWAY, "expose": {**ON_GATEWAY["expose"], "ingress": {"className": "nginx"}}}
EVERY_CHILD = (ON_GATEWAY, ON_INGRESS)
"""Specs that together have every kind of child."""


def as_live(service: Any, *, replicas: int = 3, **kinds: Any) -> list[Manifest]:
    """The service's children after a clean first pass; `Kind=None` leaves one out, `Kind=f` edits it."""
    live = []
    for manifest in rendered(service):
        kind, found = manifest["kind"], copy.deepcopy(manifest)
        found["metadata"]["uid"] = f"uid-of-{kind}"
        if kind == "Deployment":
            found["spec"]["replicas"] = replicas
        edit = kinds.get(kind, lambda _: None)
        if edit is not None:
            edit(found)
            live.append(found)
    return live


def steps(plan: Plan) -> list[tuple[str, str, str]]:
    """Action, kind and manager of each change that is a write."""
    return [(str(c.action), c.ref.kind, c.manager) for c in plan.writes]


def change_of(plan: Plan, kind: str) -> Change:
    return next(change for change in plan.changes if change.ref == ref(kind))


def test_everything_is_created_in_apply_order() -> None:
    plan = plan_for(make_service(replicas={"max": 9}), observe())

    main, replicas = labels.FIELD_MANAGER, labels.REPLICAS_MANAGER
    assert steps(plan) == [
        ("created", "ServiceAccount", main),
        ("created", "NetworkPolicy", main),
        ("created", "Service", main),
        ("created", "Deployment", main),
        ("configured", "Deployment", replicas),
        ("created", "PodDisruptionBudget", main),
        ("created", "HorizontalPodAutoscaler", main),
        ("created", "ServiceMonitor", main),
    ]
    assert all(change.uid is None for change in plan.changes)


def test_one_pod_needs_no_second_write_at_creation() -> None:
    # The API server makes it one by itself.
    plan = plan_for(make_service(replicas={"min": 1}), observe())

    assert [c.manager for c in plan.changes if c.ref.kind == "Deployment"] == [labels.FIELD_MANAGER]


def test_a_second_pass_writes_nothing() -> None:
    found: set[str] = set()
    for spec in EVERY_CHILD:
        service = make_service(**spec)
        plan = plan_for(service, observe(*as_live(service)))

        assert plan.writes == ()
        assert {change.action for change in plan.changes} == {Action.UNCHANGED}
        found |= {change.ref.kind for change in plan.changes}
    assert found == {kind.kind for kind, _ in CHILDREN}


def test_a_changed_spec_configures_what_it_changes() -> None:
    before = make_service()
    plan = plan_for(
        make_service(image={"repository": "registry.example/shop/catalog", "tag": "v2"}),
        observe(*as_live(before)),
    )

    assert steps(plan) == [("configured", "Deployment", labels.FIELD_MANAGER)]
    assert change_of(plan, "Deployment").cause == "spec changed"
    assert change_of(plan, "Deployment").uid == "uid-of-Deployment"


def test_a_field_that_left_the_spec_is_seen_although_the_live_object_has_all_that_is_wanted() -> None:
    plan = plan_for(make_service(), observe(*as_live(make_service(env=[{"name": "OLD", "value": "x"}]))))

    assert steps(plan) == [("configured", "Deployment", labels.FIELD_MANAGER)]


def test_a_hand_edit_is_drift_and_names_its_place() -> None:
    service = make_service()

    def edit(found: Manifest) -> None:
        found["spec"]["ports"][0]["targetPort"] = 1234

    plan = plan_for(service, observe(*as_live(service, Service=edit)))

    assert steps(plan) == [("configured", "Service", labels.FIELD_MANAGER)]
    assert change_of(plan, "Service").cause == "drift: spec.ports[80/TCP].targetPort: wanted http, found 1234"


def test_a_cause_names_a_few_differences_and_counts_the_rest() -> None:
    service = make_service()

    def edit(found: Manifest) -> None:
        found["metadata"]["labels"] = {}

    cause = change_of(plan_for(service, observe(*as_live(service, Service=edit))), "Service").cause

    assert cause.count("metadata.labels.") == 3
    assert cause.endswith("; and 3 more")


def test_a_deleted_child_is_created_again() -> None:
    service = make_service()
    plan = plan_for(service, observe(*as_live(service, PodDisruptionBudget=None)))

    assert steps(plan) == [("created", "PodDisruptionBudget", labels.FIELD_MANAGER)]


NOT_MADE_HERE = (
    "Service catalog exists and was not made by the operator: rename or delete one of the two, or hand it over with "
    "`kubectl annotate service catalog productionservice.io/adopt=catalog`"
)


@pytest.mark.parametrize(
    ("owners", "message"),
    [
        ([], NOT_MADE_HERE),
        (
            [{"kind": "Application", "name": "shop", "uid": OTHER, "controller": True}],
            "Service catalog belongs to Application shop: rename or delete one of the two",
        ),
        (
            [{"kind": "ProductionService", "name": "shop", "uid": OTHER, "controller": True}],
            "Service catalog belongs to ProductionService shop: rename or delete one of the two",
        ),
        (
            # An owner that is not the controller does not make it ours.
            [{"kind": "ProductionService", "name": "catalog", "uid": UID}],
            NOT_MADE_HERE,
        ),
    ],
)
def test_somebody_elses_object_is_skipped(owners: list[dict[str, Any]], message: str) -> None:
    service = make_service()

    def foreign(found: Manifest) -> None:
        found["metadata"].update(ownerReferences=owners, annotations={}, labels={})

    plan = plan_for(service, observe(*as_live(service, Service=foreign)))

    assert plan.writes == ()
    change = change_of(plan, "Service")
    assert (change.action, str(change.error)) == (Action.SKIPPED, message)
    assert isinstance(change.error, NotOwned)


def test_a_foreign_deployment_is_not_scaled() -> None:
    service = make_service()

    def foreign(found: Manifest) -> None:
        found["metadata"].update(ownerReferences=[], annotations={})

    assert plan_for(service, observe(*as_live(service, replicas=1, Deployment=foreign))).writes == ()


def test_an_object_of_a_deleted_service_of_the_same_name_is_waited_for() -> None:
    service = make_service()

    def stale(found: Manifest) -> None:
        found["metadata"]["ownerReferences"][0]["uid"] = OTHER

    plan = plan_for(service, observe(*as_live(service, Service=stale)))

    assert plan.writes == ()
    assert isinstance(change_of(plan, "Service").error, Waiting)


def test_an_own_object_on_its_way_out_is_waited_for() -> None:
    service = make_service()

    def leaving(found: Manifest) -> None:
        found["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"

    plan = plan_for(service, observe(*as_live(service, Deployment=leaving, replicas=1)))

    assert plan.writes == ()
    assert isinstance(change_of(plan, "Deployment").error, Waiting)


def test_a_stripped_owner_reference_is_put_back() -> None:
    service = make_service()

    def stripped(found: Manifest) -> None:
        del found["metadata"]["ownerReferences"]

    plan = plan_for(service, observe(*as_live(service, Service=stripped)))

    assert steps(plan) == [("configured", "Service", labels.FIELD_MANAGER)]
    assert "ownerReferences" in change_of(plan, "Service").cause


@pytest.mark.parametrize(("adopt", "action"), [("catalog", Action.CONFIGURED), ("other", Action.SKIPPED)])
def test_what_is_handed_over_by_name_is_taken(adopt: str, action: Action) -> None:
    service = make_service()

    def foreign(found: Manifest) -> None:
        found["metadata"].update(ownerReferences=[], annotations={labels.ADOPT: adopt}, labels={})

    change = change_of(plan_for(service, observe(*as_live(service, Service=foreign))), "Service")
    assert change.action is action


def test_what_somebody_else_controls_cannot_be_handed_over() -> None:
    service = make_service()

    def foreign(found: Manifest) -> None:
        owner = {"kind": "Application", "name": "shop", "uid": OTHER, "controller": True}
        found["metadata"].update(ownerReferences=[owner], annotations={labels.ADOPT: "catalog"}, labels={})

    change = change_of(plan_for(service, observe(*as_live(service, Service=foreign))), "Service")
    assert change.action is Action.SKIPPED


def test_without_owner_and_label_the_digest_of_the_very_manifest_still_says_whose_it_is() -> None:
    service = make_service()

    def stripped(found: Manifest) -> None:
        found["metadata"].update(ownerReferences=[], labels={})

    assert steps(plan_for(service, observe(*as_live(service, Service=stripped)))) == [
        ("configured", "Service", labels.FIELD_MANAGER)
    ]
    other = make_service(port=9999)
    changed = change_of(plan_for(other, observe(*as_live(service, Deployment=stripped))), "Deployment")
    assert changed.action is Action.SKIPPED


def test_a_copy_of_another_services_child_is_not_taken_for_ours() -> None:
    service = make_service()

    def copied(found: Manifest) -> None:
        theirs = {labels.APPLIED_DIGEST: "of another manifest"}
        found["metadata"].update(ownerReferences=[], labels={labels.SERVICE: "other"}, annotations=theirs)

    plan = plan_for(service, observe(*as_live(service, Service=copied)))

    assert change_of(plan, "Service").action is Action.SKIPPED


class TestReplicas:
    """Who says how many pods there are (ADR 0004)."""

    def changed(self, service: Any, live: int) -> int | None:
        """The number that a pass writes, None when it writes none."""
        plan = plan_for(service, observe(*as_live(service, replicas=live)))
        written = [c for c in plan.writes if c.manager == labels.REPLICAS_MANAGER]
        assert all(c.uid == "uid-of-Deployment" and c.action is Action.CONFIGURED for c in written)
        return written[0].manifest["spec"]["replicas"] if written and written[0].manifest else None

    def test_fixed_number_is_kept(self) -> None:
        assert self.changed(make_service(), 3) is None
        assert self.changed(make_service(), 5) == 3
        assert self.changed(make_service(), 0) == 3

    def test_autoscaler_moves_freely_between_its_bounds(self) -> None:
        service = make_service(replicas={"min": 3, "max": 9})

        assert [self.changed(service, live) for live in (3, 6, 9)] == [None, None, None]

    def test_what_is_out_of_bounds_is_moved_in(self) -> None:
        # The autoscaler would do it too, but a service that starts at 1 must not wait for it.
        service = make_service(replicas={"min": 3, "max": 9})

        assert [self.changed(service, live) for live in (0, 1, 20)] == [3, 3, 9]

    def test_from_fixed_to_autoscaled_the_live_number_stays(self) -> None:
        before, after = make_service(replicas={"min": 5}), make_service(replicas={"min": 3, "max": 9})
        plan = plan_for(after, observe(*as_live(before, replicas=5)))

        assert steps(plan) == [("created", "HorizontalPodAutoscaler", labels.FIELD_MANAGER)]

    def test_from_autoscaled_to_fixed_the_number_is_set_before_the_autoscaler_goes(self) -> None:
        before, after = make_service(replicas={"max": 9}), make_service()
        plan = plan_for(after, observe(*as_live(before, replicas=7)))

        assert steps(plan) == [
            ("configured", "Deployment", labels.REPLICAS_MANAGER),
            ("deleted", "HorizontalPodAutoscaler", labels.FIELD_MANAGER),
        ]


class TestPruning:
    """What left the desired set goes, last, and only ours."""

    surplus = tuple(
        {ref_of(m): m for spec in EVERY_CHILD for m in as_live(make_service("old", **spec))}.values()
    )

    def observed(self, *, synced: bool = True) -> Observed:
        return observe(*as_live(make_service()), *self.surplus, synced=synced)

    def test_in_reverse_apply_order_after_everything_else(self) -> None:
        plan = plan_for(make_service(replicas={"min": 4}), self.observed())

        deleted = [c.ref.kind for c in plan.changes if c.action is Action.DELETED]
        assert list(dict.fromkeys(deleted)) == [kind.kind for kind, _ in reversed(CHILDREN)]
        deletions = [c.action is Action.DELETED for c in plan.changes]
        assert deletions == sorted(deletions)

    def test_each_deletion_is_for_one_object_only(self) -> None:
        plan = plan_for(make_service(), self.observed())

        assert {(c.ref.name, c.uid, c.manifest) for c in plan.writes} == {
            (m["metadata"]["name"], m["metadata"]["uid"], None) for m in self.surplus
        }

    def test_nothing_goes_before_every_informer_has_listed(self) -> None:
        assert plan_for(make_service(), self.observed(synced=False)).writes == ()

    def test_what_belongs_to_others_stays(self) -> None:
        others = copy.deepcopy(self.surplus)
        others[0]["metadata"]["ownerReferences"][0]["uid"] = OTHER
        others[1]["metadata"]["ownerReferences"] = []
        others[2]["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
        plan = plan_for(make_service(), observe(*as_live(make_service()), *others[:3]))

        assert plan.writes == ()


def test_an_applied_plan_is_clean_when_nothing_failed() -> None:
    change = Change(Action.CREATED, ref("Service"), None)

    assert Applied((Result(change, None),)).clean
    assert not Applied((Result(change, None), Result(change, None, Rejected("no", status=422)))).clean


def test_ref_reads_like_a_sentence() -> None:
    assert str(ref_of({"kind": "Service", "metadata": {"name": "catalog"}})) == "Service catalog"
