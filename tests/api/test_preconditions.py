"""What the operator's writes rely on: how a real API server answers a server-side apply with preconditions.

Creating is an apply with `resourceVersion: "1"`, which no object has: it is the revision of an empty store.
Changing is an apply with the `uid` of the object that was looked at.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from productionservice import labels
from productionservice.children import CHILDREN, Manifest
from tests.support.builders import children
from tests.support.shop import Shop, refusal

pytestmark = pytest.mark.api

KINDS = [kind.kind for kind, _ in CHILDREN]
NOBODY = "00000000-0000-0000-0000-000000000001"


def manifest(shop: Shop, kind: str) -> Manifest:
    """A child of a name that was not used before."""
    expose: dict[str, Any] = {"hosts": ["catalog.example"], "tls": {"issuer": {"name": "acme"}}}
    if kind == "Ingress":  # the one that goes with no Gateway
        expose["ingress"] = {"className": "nginx"}
    network = {"allowTo": [{"fqdn": "api.example", "port": 443}]}
    return children(shop.service({"replicas": {"max": 9}, "network": network, "expose": expose}))[kind]


def apply(shop: Shop, wanted: Manifest, **metadata: str) -> None:
    """A forced apply by the operator's manager. Raises with the server's answer when it is refused."""
    body = {**wanted, "metadata": {**wanted["metadata"], **metadata}}
    flags = ("--server-side", "--force-conflicts", f"--field-manager={labels.FIELD_MANAGER}")
    shop.cluster.kubectl("apply", *flags, "-f", shop.write([body]))


def foreign(shop: Shop, wanted: Manifest) -> dict[str, Any]:
    """Somebody else's object of the same name, as it is live."""
    theirs = copy.deepcopy(wanted)
    theirs["metadata"] = {
        "name": wanted["metadata"]["name"],
        "namespace": shop.name,
        "labels": {"theirs": "yes"},
    }
    shop.cluster.kubectl("create", "-f", shop.write([theirs]))
    [live] = shop.live([theirs])
    return live


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_makes_what_is_absent_and_owns_its_fields_by_apply_alone(shop: Shop, kind: str) -> None:
    wanted = manifest(shop, kind)
    apply(shop, wanted, resourceVersion="1")

    [live] = shop.live([wanted])
    managers = [(m["manager"], m["operation"]) for m in live["metadata"]["managedFields"]]
    # A later controller may add its own; an Update of ours would keep fields for ever that left the manifest.
    assert (labels.FIELD_MANAGER, "Apply") in managers
    assert (labels.FIELD_MANAGER, "Update") not in managers


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_never_touches_an_object_that_exists(shop: Shop, kind: str) -> None:
    wanted = manifest(shop, kind)
    foreign(shop, wanted)

    said = refusal(lambda: apply(shop, wanted, resourceVersion="1"))

    assert "the object has been modified" in said
    [after] = shop.live([wanted])
    assert after["metadata"]["labels"] == {"theirs": "yes"}
    assert labels.FIELD_MANAGER not in {m["manager"] for m in after["metadata"]["managedFields"]}


def test_of_many_creates_one_wins(shop: Shop) -> None:
    wanted = manifest(shop, "Service")

    def create(_: int) -> str:
        return refusal(lambda: apply(shop, wanted, resourceVersion="1"))

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(create, range(8)))

    assert said[0] == ""
    assert all("the object has been modified" in answer for answer in said[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_for_one_object_only(shop: Shop, kind: str) -> None:
    wanted = manifest(shop, kind)
    assert "uid mismatch" in refusal(lambda: apply(shop, wanted, uid=NOBODY))
    before = foreign(shop, wanted)

    assert "field is immutable" in refusal(lambda: apply(shop, wanted, uid=NOBODY))
    [untouched] = shop.live([wanted])
    assert untouched["metadata"]["labels"] == {"theirs": "yes"}
    apply(shop, wanted, uid=before["metadata"]["uid"])
    [after] = shop.live([wanted])
    assert after["metadata"]["labels"].items() >= wanted["metadata"]["labels"].items()
