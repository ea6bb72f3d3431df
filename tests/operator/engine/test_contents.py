"""A Secret by its metadata alone: keys, and a mark that only other data changes."""

from __future__ import annotations

import copy
from typing import Any

from productionservice.engine.contents import Contents


def secret(*keys: str, time: str = "2026-11-25T10:00:00Z", **metadata: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:data": {".": {}, **{f"f:{key}": {} for key in keys}}, "f:type": {}}
    write = {"manager": "kubectl", "operation": "Update", "time": time, "fieldsV1": fields}
    return {"metadata": {"uid": "u", "resourceVersion": "5", "managedFields": [write], **metadata}}


def test_the_keys_are_those_that_managers_wrote() -> None:
    assert Contents.of(secret("user", "password")).keys == frozenset({"user", "password"})


def test_a_label_by_somebody_else_is_no_change() -> None:
    before = secret("user")
    after = copy.deepcopy(before)
    labelled = {"manager": "team", "time": "later", "fieldsV1": {"f:metadata": {"f:labels": {"f:x": {}}}}}
    after["metadata"]["managedFields"].append(labelled)
    after["metadata"]["resourceVersion"] = "6"

    assert Contents.of(after).mark == Contents.of(before).mark


def test_new_data_another_key_and_another_object_are_changes() -> None:
    before = Contents.of(secret("user")).mark

    assert Contents.of(secret("user", time="2026-11-25T11:00:00Z")).mark != before
    assert Contents.of(secret("user", "password")).mark != before
    assert Contents.of(secret("user", uid="other")).mark != before


def test_without_a_record_every_version_is_a_change_and_no_key_is_known() -> None:
    bare = {"metadata": {"uid": "u", "resourceVersion": "5"}}
    newer = {"metadata": {"uid": "u", "resourceVersion": "6"}}

    assert Contents.of(bare).keys is None
    assert Contents.of(bare).mark != Contents.of(newer).mark


def test_an_object_that_lost_all_of_its_data_has_no_key() -> None:
    bare = secret("user")
    bare["metadata"]["managedFields"][0]["fieldsV1"] = {"f:type": {}}

    assert Contents.of(bare).keys == frozenset()


def test_a_second_write_within_one_second_is_a_change_though_the_record_is_the_same() -> None:
    first = Contents.of(secret("user"))
    second = Contents.of(secret("user", resourceVersion="6"), first)
    labelled = secret("user", resourceVersion="7")
    labelled["metadata"]["managedFields"].append(
        {"manager": "team", "time": "x", "fieldsV1": {"f:metadata": {}}}
    )
    third = Contents.of(labelled, second)

    assert (first.mark, first.again) == (second.mark, "")
    assert second.again == "6"
    assert third.again == "6", "somebody's label is no further change"
    assert Contents.of(secret("user", "more"), third).again == "", (
        "what the record shows needs no second word"
    )
