"""The AdmissionReview: read, answered, and never refused."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.admission.review import BadReview, answer


def review(**request: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", **request},
    }


def test_the_answer_carries_the_uid_and_the_warnings() -> None:
    said = answer(review(object={"metadata": {}}), lambda body: [f"seen {body}"])

    assert said == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "7", "allowed": True, "warnings": ["seen {'metadata': {}}"]},
    }


def test_nothing_to_say_is_no_field() -> None:
    assert answer(review(object={}), lambda _: [])["response"] == {"uid": "7", "allowed": True}


@pytest.mark.parametrize("request_", [{"object": None, "oldObject": {"metadata": {}}}, {}])
def test_a_delete_is_let_through_unread(request_: dict[str, Any]) -> None:
    said = answer(review(operation="DELETE", **request_), lambda _: pytest.fail("nothing to read"))

    assert said["response"] == {"uid": "7", "allowed": True}


@pytest.mark.parametrize("content", [None, [], "x", {}, {"request": None}, {"request": {"object": {}}}])
def test_what_is_no_review_is_refused_with_what_is_missing(content: Any) -> None:
    with pytest.raises(BadReview, match=r"request\.uid is missing"):
        answer(content, lambda _: [])
