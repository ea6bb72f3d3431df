"""The store never goes back in time, and a list corrects it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from productionservice.engine.store import Delta, Store, name_of
from tests.operator.engine.fake_api import thing


def store() -> Store[dict[str, Any]]:
    return Store(
        lambda body, _: dict(body),
        lambda body: tuple(("label", v) for v in body["metadata"]["labels"].values()),
    )


def relist(
    held: Store[dict[str, Any]], bodies: list[dict[str, Any]], version: str, namespace: str | None = None
) -> list[Delta[dict[str, Any]]]:
    """A complete list, page by page and then what was not in it."""
    put = [held.put(body, listed_at=version) for body in bodies]
    gone = held.retain({name_of(body["metadata"]) for body in bodies}, version, namespace)
    return [delta for delta in put if delta is not None] + gone


def names(of: Store[dict[str, Any]], label: str) -> list[str]:
    return [name[1] for name, _ in of.members(("label", label))]


def test_an_echo_and_an_older_version_change_nothing() -> None:
    held = store()
    assert held.put(thing("a", 5, color="red")) is not None

    assert held.put(thing("a", 5, color="blue")) is None
    assert held.put(thing("a", 4, color="blue")) is None
    assert names(held, "red") == ["a"]


def test_an_object_moves_between_groups() -> None:
    held = store()
    held.put(thing("a", 1, color="red"))
    delta = held.put(thing("a", 2, color="blue"))

    assert delta is not None
    assert delta.groups == {("label", "red"), ("label", "blue")}
    assert (names(held, "red"), names(held, "blue")) == ([], ["a"])


def test_a_late_deletion_does_not_remove_the_object_that_replaced_the_deleted_one() -> None:
    held = store()
    held.put(thing("a", 9, uid="new"))

    assert held.remove(thing("a", 7, uid="old")) is None
    assert held.get(("shop", "a")) is not None


def test_a_list_reports_what_was_deleted_meanwhile() -> None:
    held = store()
    for name in ("a", "b", "c"):
        held.put(thing(name, 1))

    deltas = relist(held, [thing("a", 1), thing("b", 3)], "5", None)
    assert {(d.name[1], d.new is None) for d in deltas} == {("b", False), ("c", True)}


def test_a_list_that_is_older_than_our_own_write_does_not_remove_it() -> None:
    held = store()
    held.put(thing("a", 8))

    assert relist(held, [], "7", None) == []
    assert len(held) == 1


def test_a_list_of_one_namespace_says_nothing_about_the_others() -> None:
    held = store()
    held.put(thing("a", 1))

    assert relist(held, [], "9", "other") == []
    assert [d.name for d in relist(held, [], "9", "shop")] == [("shop", "a")]


def test_a_list_shows_what_a_restored_backup_has_though_its_version_is_newer_by_now() -> None:
    held = store()
    held.put(thing("a", 8, color="new"))
    held.put(thing("b", 20, color="ours"))  # the answer to a write that the list does not know yet

    deltas = relist(held, [thing("a", 3, color="old"), thing("b", 5, color="before")], "12", None)
    assert [delta.name[1] for delta in deltas] == ["a"]
    assert (names(held, "old"), names(held, "new"), names(held, "ours")) == (["a"], [], ["b"])


def test_after_a_restored_backup_older_versions_are_news() -> None:
    held = store()
    held.put(thing("a", 90, color="red"))
    held.put(thing("b", 91))
    held.rewind()

    deltas = relist(held, [thing("a", 5, color="blue")], "7")
    assert {(d.name[1], d.new is None) for d in deltas} == {("a", False), ("b", True)}
    assert names(held, "blue") == ["a"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(["red", "blue"])), max_size=30
    ),
    st.data(),
)
def test_any_order_of_events_and_lists_ends_in_the_newest_state(
    changes: list[tuple[str, bool, str]], data: st.DataObject
) -> None:
    """Events may come late, twice or never, as long as a list made at the end comes too."""
    truth: dict[str, dict[str, Any]] = {}
    events: list[tuple[str, dict[str, Any]]] = []
    version = 0
    for name, exists, color in changes:
        version += 1
        body = thing(name, version, color=color)
        if exists:
            truth[name] = body
            events.append(("put", body))
        elif truth.pop(name, None):
            events.append(("remove", body))
    sent = data.draw(st.lists(st.sampled_from(events), max_size=40)) if events else []
    held = store()
    for kind, body in sent:
        held.put(body) if kind == "put" else held.remove(body)
    relist(held, list(truth.values()), str(version))

    assert {name[1] for name in held.names()} == set(truth)
    for color in ("red", "blue"):
        assert names(held, color) == sorted(
            n for n, b in truth.items() if b["metadata"]["labels"]["color"] == color
        )


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["ours", "theirs", "deleted"]), st.integers(0, 5)),
        max_size=30,
    )
)
def test_a_watch_and_answers_that_come_late_end_in_the_newest_state(
    changes: list[tuple[str, str, int]],
) -> None:
    """The watch tells all in its order; each answer to a write of ours comes some events before or after its own."""
    held, truth = store(), dict[str, dict[str, Any]]()
    events: list[tuple[int, int, str, dict[str, Any]]] = []
    for version, (name, what, late) in enumerate(changes, 1):
        body = thing(name, version, color=what)
        if what != "deleted":
            truth[name] = body
        elif not truth.pop(name, None):
            continue
        events.append((version, 1, what, body))
        if what == "ours":
            events.append((version + late, 0 if late == 0 else 2, "answer", body))
    for _, _, what, body in sorted(events, key=lambda event: event[:2]):
        if what == "answer":
            held.answer(body, lambda body, _: dict(body))
            continue
        held.remove(body) if what == "deleted" else held.put(body)
        held.reached(int(body["metadata"]["resourceVersion"]), None)

    assert {name[1]: held.get(name) for name in held.names()} == truth


def test_an_answer_counts_what_has_been_told_of_its_own_namespace() -> None:
    held = store()
    held.reached(9, "other")
    assert held.answer(thing("a", 5), lambda body, _: dict(body)) is not None
    assert held.answer({**thing("b", 5), "metadata": {**thing("b", 5)["metadata"], "namespace": "other"}},
                       lambda body, _: dict(body)) is None  # fmt: skip


def test_what_is_gone_is_not_renewed() -> None:
    held = store()
    held.put(thing("a", 1, color="red"))
    assert held.renew(thing("a", 2, color="blue")) is not None
    held.remove(thing("a", 3))
    assert held.renew(thing("a", 2, color="blue")) is None
    assert held.names() == []
