"""Every optional feature on a real API server, with the operator at work: on, off, and flipped twice the same objects.

Which features there are is read from the models: each field of the spec that may be left out is one. What it is
switched on with stands in the golden case `full`, which another test keeps complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from e2e.eventually import eventually
from productionservice.api import Spec
from productionservice.api.v1alpha1 import Image
from productionservice.children import CHILDREN
from tests.api.operator_process import OperatorProcess
from tests.api.team import Team
from tests.operator.children.test_switches import SWITCHES

pytestmark = pytest.mark.api

FULL = Path(__file__).parents[1] / "operator" / "golden" / "full" / "input.yaml"


def optional(model: type[BaseModel]) -> set[str]:
    """Fields that may be left out."""
    return {field.alias or name for name, field in model.model_fields.items() if not field.is_required()}


OPTIONAL, OF_IMAGE = optional(Spec), optional(Image)
ALONE: dict[str, Any] = {
    "probes": {"port": 8000},
    "availability": {"maxUnavailable": 1},
    "observability": {"metrics": {"port": 8000}},
    "expose": {"hosts": ["switched.example"], "ingress": None},
    "mounts": [
        {"path": "/etc/catalog", "configMap": "catalog-settings"},
        {"path": "/etc/db", "secret": "catalog-db"},
        {"path": "/var/cache/catalog", "scratch": {"size": "1Gi", "memory": True}},
    ],
}
"""Where the full case has what needs another of its fields (a port, a number of pods), what only an object from
before the rules can have (a folder of the system's), what other tests claim as well (a host), or two ways at once: None
leaves one out."""
BESIDE: dict[str, Any] = {"mounts": {"resources": {"limits": {"memory": "2Gi"}}}}
"""What has to be there whether the field is or not: memory for scratch space in memory."""
Objects = dict[str, dict[str, Any]]


def features() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """The spec without and with each optional field: of the spec, and of the image, which has to be there."""
    full: dict[str, Any] = yaml.safe_load(FULL.read_text())["spec"]
    found = {}
    for field in OPTIONAL:
        on = _merged(full[field], ALONE[field]) if field in ALONE else full[field]
        found[field] = (BESIDE.get(field, {}), {**BESIDE.get(field, {}), field: on})
    for field in OF_IMAGE:
        other = "digest" if field == "tag" else "tag"  # one of the two says what runs
        named = {key: full["image"][key] for key in ("repository", other)}
        found[f"image.{field}"] = ({"image": named}, {"image": {**named, field: full["image"][field]}})
    return found


def _merged(value: Any, other: Any) -> Any:
    """A value with what is to be otherwise in it: objects are merged, all else is replaced."""
    if not (isinstance(value, dict) and isinstance(other, dict)):
        return other
    merged = {**value, **{key: _merged(value.get(key), more) for key, more in other.items()}}
    return {key: each for key, each in merged.items() if each is not None}


@pytest.fixture(scope="module")
def ready(every_kind: None, operator: OperatorProcess) -> None:
    """The kinds are there before the operator looks."""
    assert every_kind is None
    assert operator.process is not None


@pytest.fixture
def switched(ready: None, team: Team) -> Iterator[Team]:  # noqa: ARG001 - for its effect
    """A namespace that has the Secrets and ConfigMaps which the full case names."""
    team.kubectl("create", "secret", "generic", "catalog-db", "--from-literal=password=x")
    team.kubectl("create", "secret", "generic", "registry")
    team.kubectl("create", "configmap", "catalog-settings", "--from-literal=features=x")
    team.kubectl("create", "configmap", "feature-flags")
    yield team
    team.kubectl("delete", "psvc", "--all", "--wait=true")  # what it claims is free for the next one


def flip(team: Team, spec: dict[str, Any]) -> Objects:
    """The children once the operator is through with this spec."""
    team.apply(**spec)
    team.converged()
    return {kind.kind: team.get(kind.plural) for kind, _ in CHILDREN if team.exists(kind.plural)}


def what_is_wanted(objects: Objects) -> Objects:
    """Without what the API server and the controllers write, and what differs each time."""
    return {
        kind: _wanted(found, autoscaled="HorizontalPodAutoscaler" in objects)
        for kind, found in objects.items()
    }


def _wanted(found: dict[str, Any], *, autoscaled: bool) -> dict[str, Any]:
    counted = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
    metadata = {key: value for key, value in found["metadata"].items() if key not in counted}
    annotations = metadata["annotations"]
    kept = {key: value for key, value in annotations.items() if key != "deployment.kubernetes.io/revision"}
    whole = {**found, "metadata": {**metadata, "annotations": kept}}
    whole.pop("status", None)
    if found["kind"] == "Deployment" and autoscaled:
        whole["spec"] = {key: value for key, value in found["spec"].items() if key != "replicas"}
    return whole


def uids(objects: Objects) -> dict[str, str]:
    return {kind: found["metadata"]["uid"] for kind, found in objects.items()}


def test_only_the_image_is_no_option() -> None:
    """Or the optional fields of what else has to be there are to be switched as well."""
    assert set(Spec.model_fields) - {"image"} == {
        name for name, field in Spec.model_fields.items() if not field.is_required()
    }


@pytest.mark.parametrize("field", sorted(features()))
def test_a_field_is_on_off_and_on_again(switched: Team, field: str) -> None:
    without, spec = features()[field]
    off, on = flip(switched, without), flip(switched, spec)
    off_again, on_again = flip(switched, without), flip(switched, spec)

    assert what_is_wanted(on) != what_is_wanted(off), "or the field does nothing"
    assert what_is_wanted(off_again) == what_is_wanted(off), "nothing of it stays"
    assert what_is_wanted(on_again) == what_is_wanted(on)
    kept = uids(off).keys() & uids(on).keys()
    for flipped in (on, off_again, on_again):
        assert {kind: uids(flipped)[kind] for kind in kept} == {kind: uids(off)[kind] for kind in kept}


@pytest.mark.parametrize("kind", SWITCHES)
def test_a_kind_comes_goes_and_comes_again(switched: Team, kind: str) -> None:
    want, leave = (_with_own_host(spec) for spec in SWITCHES[kind])
    plural = next(each.plural for each, _ in CHILDREN if each.kind == kind)

    on = flip(switched, want)
    assert kind in on
    off = flip(switched, leave)
    eventually(lambda: _gone(switched, plural))
    again = flip(switched, want)

    assert kind in on.keys() - off.keys()
    assert on.keys() - off.keys() <= SWITCHES.keys()
    assert what_is_wanted(again) == what_is_wanted(on)


def _with_own_host(spec: dict[str, Any]) -> dict[str, Any]:
    """A host has one owner in the cluster, and other tests leave services behind for a while."""
    own = {"hosts": ALONE["expose"]["hosts"]}
    return {**spec, "expose": {**spec["expose"], **own}} if "expose" in spec else spec


def _gone(team: Team, plural: str) -> None:
    assert not team.exists(plural)
