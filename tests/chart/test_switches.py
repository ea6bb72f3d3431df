"""Every optional part of the chart: on makes objects, off leaves out exactly those. Which parts there are is read from
values.yaml: each value that is true or false, and each policy's mode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Json, render
from tests.chart.test_rendering import blank_certificates

pytestmark = pytest.mark.api  # needs Helm, which is built with the cluster's other tools

CHANGES_OBJECTS = {"rbac.references": "ClusterRole"}
"""Switches of something inside an object that is there in any case, and the kind of that object."""


def switches(values: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Path, and what switches it on and off."""
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, dict):
            yield from switches(value, here)
        elif isinstance(value, bool):
            yield here, True, False
        elif key == "mode":
            yield here, "Deny", "Disabled"


SWITCHES = {
    ".".join(path): (path, on, off)
    for path, on, off in switches(yaml.safe_load((CHART / "values.yaml").read_text()))
}


def setting(path: tuple[str, ...], value: Any) -> Json:
    """Values with one of them set."""
    for key in reversed(path):
        value = {key: value}
    found: Json = value
    return found


def rendered(name: str, *, on: bool) -> dict[tuple[str, str], Json]:
    """Objects by kind and name."""
    path, yes, no = SWITCHES[name]
    made = render(setting(path, yes if on else no))
    blank_certificates(made)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


@cache
def objects(name: str, *, on: bool) -> dict[tuple[str, str], Json]:
    """The first rendering."""
    return rendered(name, on=on)


def test_there_are_switches() -> None:
    assert {"admission.webhook.enabled", "monitoring.alerts.enabled", "admission.policies.sizes.mode"} <= set(
        SWITCHES
    )
    assert set(SWITCHES) >= set(CHANGES_OBJECTS)


@pytest.mark.parametrize("name", SWITCHES)
def test_on_makes_objects_and_off_leaves_out_exactly_those(name: str) -> None:
    on, off = objects(name, on=True), objects(name, on=False)

    assert off.keys() <= on.keys(), "off makes nothing"
    if kind := CHANGES_OBJECTS.get(name):
        assert on.keys() == off.keys()
        assert [key for key in on if key[0] == kind and on[key] != off[key]]
    else:
        assert on.keys() - off.keys()


@pytest.mark.parametrize("name", SWITCHES)
def test_flipped_twice_it_makes_the_same_objects(name: str) -> None:
    """Nothing but the certificate is made anew by a rendering: an upgrade that changes nothing writes nothing."""
    assert rendered(name, on=True) == objects(name, on=True)
