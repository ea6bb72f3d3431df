"""What is kept of a child is enough to decide with, and no more."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest

from productionservice import labels
from productionservice.live import Live, Owner, applied_digest, owner_of
from tests.support.builders import children, make_service


def test_equal_content_is_compared_once() -> None:
    manifest = children(make_service())["Service"]
    live = Live.of("Service", manifest)
    assert live.differences(manifest) == []

    verified = live.verify(applied_digest(manifest))
    again = Live.of("Service", {**copy.deepcopy(manifest), "status": {"loadBalancer": {}}}, verified)
    assert (again.packed, again.verified) == (None, live.digest)
    assert again.differences(manifest) == []


def test_other_content_is_compared_again() -> None:
    manifest = children(make_service())["Service"]
    verified = Live.of("Service", manifest).verify(applied_digest(manifest))
    edited = copy.deepcopy(manifest)
    edited["spec"]["type"] = "NodePort"

    assert Live.of("Service", edited, verified).differences(manifest) == [
        "spec.type: wanted ClusterIP, found NodePort"
    ]


def test_another_manifest_is_not_taken_for_the_verified_one() -> None:
    service = make_service()
    manifest, other = children(service)["Service"], copy.deepcopy(children(service)["Service"])
    other["metadata"]["annotations"][labels.APPLIED_DIGEST] = "other"
    verified = Live.of("Service", manifest).verify(applied_digest(manifest))

    with pytest.raises(ValueError, match="no longer kept"):
        verified.differences(other)


def test_lists_leave_out_the_kind_and_watches_do_not() -> None:
    manifest = children(make_service())["Deployment"]
    item = {key: value for key, value in manifest.items() if key not in {"kind", "apiVersion"}}
    listed, watched = Live.of("Deployment", item), Live.of("Deployment", manifest)

    assert listed.same_as(watched)
    assert listed.state is not None


def test_owners_are_shared_while_anything_is_theirs_and_forgotten_then() -> None:
    def owned(uid: str) -> dict[str, Any]:
        reference = {"kind": "ReplicaSet", "name": "catalog-1", "uid": uid, "controller": True}
        return {"metadata": {"ownerReferences": [reference]}}

    first, second, other = owner_of(owned("u")), owner_of(owned("u")), owner_of(owned("other"))
    assert first is second
    assert other == Owner("ReplicaSet", "catalog-1", "other")
    del first, second
    gc.collect()
    assert [owner.uid for owner in gc.get_objects() if isinstance(owner, Owner) and owner.uid == "u"] == []
