"""Admission on a real API server: bad specs are refused in words, good ones get the defaults that the models say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.eventually import eventually
from productionservice.api import GROUP, PLURAL, ProductionService, Spec, parse
from productionservice.api.crdgen import custom_resource_definition
from tests.support.builders import UID, rendered
from tests.support.shop import Shop, refusal

pytestmark = pytest.mark.api

ROOT = Path(__file__).parents[2]
REJECTS = sorted((ROOT / "e2e" / "rejects").glob("*.yaml"))
ACCEPTS = sorted((ROOT / "e2e" / "accepts").glob("*.yaml"))
CRD = f"{PLURAL}.{GROUP}"
STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "ImagePullFailed",
            "message": "pod catalog-1 cannot pull its image",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 1,
        }
    ],
    "version": "v1.4.2",
    "url": "http://catalog.shop.svc",
    "image": {"wanted": "shop/catalog:v1.4.2"},
    "replicas": {"desired": 3, "available": 2},
}


@pytest.fixture(scope="module")
def crd(shop: Shop) -> Iterator[Shop]:
    """The namespace on an API server that has the CRD. One that was there before is used and left."""
    kubectl = shop.cluster.kubectl
    absent = not kubectl("get", "crd", CRD, "--ignore-not-found")
    if absent:
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", f"crd/{CRD}")
    eventually(lambda: kubectl("-n", shop.name, "get", "psvc"))
    yield shop
    if absent:
        kubectl("delete", "crd", CRD)


def create(shop: Shop, path: Path) -> str:
    """The object as the API server would store it, in JSON. Raises with its answer when it refuses."""
    return shop.cluster.kubectl(
        "-n", shop.name, "create", "--dry-run=server", "--output=json", "-f", str(path)
    )


@pytest.fixture(scope="module")
def answers(crd: Shop) -> Mapping[str, str]:
    """What the API server says to each bad spec, by the file's stem; empty where it accepts."""
    with ThreadPoolExecutor(4) as pool:
        said = pool.map(lambda path: refusal(lambda: create(crd, path)), REJECTS)
        return dict(zip((path.stem for path in REJECTS), said, strict=True))


@pytest.mark.parametrize("path", REJECTS, ids=lambda path: path.stem)
def test_a_bad_spec_is_refused_with_the_field_by_name(answers: Mapping[str, str], path: Path) -> None:
    expected = re.findall(r"^# expect: (.+)$", path.read_text(), flags=re.MULTILINE)

    assert expected, f"{path.name} does not say what to expect"
    assert [fragment for fragment in expected if fragment not in answers[path.stem]] == []


def test_every_rule_refuses_something(answers: Mapping[str, str]) -> None:
    said = "\n".join(answers.values())

    assert [rule["rule"] for rule in rules() if not re.search(pattern(rule), said)] == []


def test_every_rule_can_be_evaluated(answers: Mapping[str, str]) -> None:
    # A rule that fails on a value (a quantity that is none) would answer with an error about itself.
    assert [stem for stem, said in answers.items() if "evaluat" in said or "no such overload" in said] == []


@pytest.mark.parametrize("path", ACCEPTS, ids=lambda path: path.stem)
def test_a_good_spec_gets_the_defaults_of_the_models(crd: Shop, path: Path) -> None:
    stored = json.loads(create(crd, path))["spec"]

    meant = Spec.model_validate(yaml.safe_load(path.read_text())["spec"])

    assert Spec.model_validate(stored) == meant
    assert stored == meant.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize("path", ACCEPTS, ids=lambda path: path.stem)
def test_what_is_accepted_can_be_made(crd: Shop, path: Path) -> None:
    children = rendered(read(path, crd.name))

    crd.dry_run(children)


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_kubectl_get_says_what_is_the_matter(crd: Shop, wide: bool) -> None:
    name = f"catalog-{next(crd.number)}"
    body = {**yaml.safe_load((ROOT / "e2e/accepts/smallest.yaml").read_text()), "metadata": {"name": name}}
    patch = ("--subresource=status", "--type=merge", "--patch", json.dumps({"status": STATUS}))

    crd.cluster.kubectl("-n", crd.name, "create", "-f", crd.write([body]))
    crd.cluster.kubectl("-n", crd.name, "patch", "psvc", name, *patch)
    output = crd.cluster.kubectl("-n", crd.name, "get", "psvc", name, *(["-o", "wide"] if wide else []))

    header, row = output.strip().splitlines()
    assert header.split()[:7] == ["NAME", "READY", "REASON", "VERSION", "PODS", "URL", "SINCE"]
    assert row.split()[:6] == [
        name, "False", "ImagePullFailed", "v1.4.2", "2", "http://catalog.shop.svc",
    ]  # fmt: skip
    assert ("pod catalog-1 cannot pull its image" in row, "shop/catalog:v1.4.2" in row) == (wide, wide)


def read(path: Path, namespace: str) -> ProductionService:
    """The service of a file, as if it were in this namespace."""
    body = yaml.safe_load(path.read_text())
    return parse({**body, "metadata": {**body["metadata"], "namespace": namespace, "uid": UID}})


def rules() -> list[dict[str, str]]:
    """Every rule of the CRD."""
    found: list[dict[str, str]] = []
    pending: list[dict[str, Any]] = [
        custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    ]
    while pending:
        schema = pending.pop()
        found += schema.get("x-kubernetes-validations", [])
        pending += [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return found


def pattern(rule: dict[str, str]) -> str:
    """What the rule's message looks like once its placeholders are filled."""
    if "messageExpression" not in rule:
        return re.escape(rule["message"])
    template = rule["messageExpression"].split("'")[1]
    return re.sub("%[ds]", ".+?", re.escape(template).replace("\\%", "%"))
