"""An upgrade of the operator restarts no service whose spec has not changed.

`releases/<version>.json` has what each release made of a corpus of specs: the spec itself, and the digest of its pod
template. Every file is checked against what the code makes today. A release's file is frozen; that of the version
that is being built is rewritten by `make golden`, and `releases/frozen` says which versions are out.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from productionservice import __version__
from productionservice.children import desired_replicas
from productionservice.effective import compute_effective
from productionservice.errors import InvalidSpec
from tests.support.builders import children, make_service

RELEASES = Path(__file__).parent / "releases"
FROZEN = set((RELEASES / "frozen").read_text().split())
GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in RELEASES.glob("*.json"))


def template_digest(name: str, spec: dict[str, Any]) -> str:
    """Digest of what decides whether pods are replaced."""
    template = children(make_service(name=name, **spec))["Deployment"]["spec"]["template"]
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def corpus() -> list[dict[str, Any]]:
    """The golden specs, and each with parts of another: fields meet that no case has together."""
    cases = [yaml.safe_load((path / "input.yaml").read_text()) for path in sorted(GOLDEN.iterdir())]
    specs = [case["spec"] for case in cases]
    mixed: list[dict[str, Any]] = []
    dice = random.Random(7)  # noqa: S311 - a corpus, no secret
    while len(mixed) < 60:
        one, other = dice.sample(specs, 2)
        spec = {**one, **{key: other[key] for key in dice.sample(sorted(other), min(3, len(other)))}}
        if is_valid(spec):  # parts that contradict each other are no case
            mixed.append(spec)
    return [*specs, *mixed]


def is_valid(spec: dict[str, Any]) -> bool:
    try:
        compute_effective(make_service(**spec).spec)
    except (InvalidSpec, ValidationError):
        return False
    return True


def recorded(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The corpus after what is `known`: a spec that was recorded once stays, whatever golden cases come and go."""
    specs = [entry["spec"] for entry in known if is_valid(entry["spec"])]
    specs += [spec for spec in corpus() if spec not in specs]
    return [{"spec": spec, "template": template_digest("catalog", spec)} for spec in specs]


def test_this_versions_templates_are_recorded(update_golden: bool) -> None:
    file = RELEASES / f"{__version__}.json"
    if update_golden and __version__ not in FROZEN:
        known = json.loads(file.read_text()) if file.exists() else []
        lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in recorded(known))
        file.write_text(f"[\n{lines}\n]\n")

    assert file.exists(), f"run make golden: {file.name} has to say what this version makes of each spec"
    assert len(json.loads(file.read_text())) >= 60


def test_every_golden_case_is_recorded() -> None:
    kept = [entry["spec"] for entry in json.loads((RELEASES / f"{__version__}.json").read_text())]
    left_out = [spec for spec in corpus() if spec not in kept]

    # What is released stays as it was: the next version's file has the newer cases.
    assert left_out == [] or __version__ in FROZEN, "run make golden"


@pytest.mark.parametrize("version", FILES)
def test_no_unchanged_service_restarts_when_it_comes_from(version: str) -> None:
    entries = json.loads((RELEASES / f"{version}.json").read_text())
    changed = [e["spec"] for e in entries if template_digest("catalog", e["spec"]) != e["template"]]

    assert changed == [], (
        f"{len(changed)} of {len(entries)} pod templates are no longer those of {version}: "
        + (
            "an upgrade would restart every such service"
            if version in FROZEN
            else "if that is meant, make golden"
        )
    )


def test_the_number_of_pods_is_no_part_of_the_template() -> None:
    few, many = make_service(replicas={"min": 3}), make_service(replicas={"min": 9})

    assert template_digest("catalog", {"replicas": {"min": 3}}) == template_digest(
        "catalog", {"replicas": {"min": 9}}
    )
    assert desired_replicas(compute_effective(few.spec), None) != desired_replicas(
        compute_effective(many.spec), None
    )
