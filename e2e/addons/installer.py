"""Bring add-ons up and down on a running cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from e2e.addons.addon import LABEL, Addon, Json
from e2e.addons.known import ADDONS
from e2e.cluster.kubectl import KubectlError
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.progress import CommandError, step

_CRD = "CustomResourceDefinition"
_MARKS = "deployments,statefulsets,services,customresourcedefinitions"
"""Each add-on has one of these: of one that is a custom resource it is the Service, for its workload is not ours."""


def up(cluster: Cluster, names: Iterable[str]) -> None:
    """Bring the add-ons up, with what they need, and wait until each does its work.

    One that is up already is brought to its manifests again. Raises CommandError, which says where to look.
    """
    for addon in ordered(names):
        with step(f"add-on {addon.name} {addon.version}"):
            _load(cluster, addon)
            _apply(cluster, addon.objects())
            _wait(cluster, addon)


def down(cluster: Cluster, names: Iterable[str]) -> None:
    """Remove the add-ons, and before them those that need them. Harmless when they are not there."""
    for addon in reversed(list(ADDONS.values())):
        if {needed.name for needed in ordered([addon.name])} & set(names) and is_up(cluster, addon):
            with step(f"removing add-on {addon.name}"):
                _remove(cluster, addon.objects())


def is_up(cluster: Cluster, addon: Addon) -> bool:
    """Whether any of its workloads, Services or CRDs is there."""
    selector = f"{LABEL}={addon.name}"
    return bool(cluster.kubectl("get", _MARKS, "--all-namespaces", "-l", selector, "-o", "name").strip())


def ordered(names: Iterable[str]) -> list[Addon]:
    """The add-ons and all that they need, each after what it needs. Raises CommandError for an unknown name."""
    wanted: dict[str, Addon] = {}

    def want(name: str) -> None:
        if name not in ADDONS:
            raise CommandError(f"no add-on {name!r}: use {', '.join(ADDONS)}")
        for needed in ADDONS[name].needs:
            want(needed)
        wanted.setdefault(name, ADDONS[name])

    for name in names:
        want(name)
    return list(wanted.values())


def _load(cluster: Cluster, addon: Addon) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda archive: cluster.load_docker_image(str(archive)), addon.images()))


def _apply(cluster: Cluster, objects: list[Json]) -> None:
    """CRDs first, until they are served: kubectl knows no object of a kind that is not."""
    crds = [item for item in objects if item["kind"] == _CRD]
    if crds:
        _server_side(cluster, crds)
        wait = ("wait", "--for=condition=Established", "--timeout=30s", "-f", "-")
        # kubectl fails at once for a CRD that has no conditions yet.
        eventually(partial(cluster.kubectl, *wait, input=_list(crds)))
    rest = [item for item in objects if item["kind"] != _CRD]
    # A webhook of an add-on that has just been started answers a moment later.
    eventually(partial(_server_side, cluster, rest))


def _server_side(cluster: Cluster, objects: list[Json]) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=_list(objects))


def _wait(cluster: Cluster, addon: Addon) -> None:
    try:
        eventually(partial(addon.ready, cluster), timeout=addon.within, interval=0.5)
    except (AssertionError, LookupError, OSError, subprocess.CalledProcessError) as error:
        found = sorted({item["metadata"].get("namespace", "") for item in addon.objects()} - {""})
        where = found[0] if found else "default"
        raise CommandError(
            f"add-on {addon.name} does not work after {addon.within:.0f} s: {error}; "
            f"look at: kubectl -n {where} get pods,events"
        ) from error


def _remove(cluster: Cluster, objects: list[Json]) -> None:
    """CRDs while the controller still runs: it is the one that takes finalizers off. Their objects go with them."""
    crds = [item for item in objects if item["kind"] == _CRD]
    groups = {crd["spec"]["group"] for crd in crds}
    _delete(cluster, crds)
    rest = [item for item in objects if item["kind"] != _CRD]
    _delete(cluster, [item for item in reversed(rest) if item["apiVersion"].split("/")[0] not in groups])


def _delete(cluster: Cluster, objects: list[Json]) -> None:
    if not objects:
        return
    try:
        cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--timeout=60s", input=_list(objects))
    except KubectlError as error:
        raise CommandError(f"an add-on's objects stay: {error}; run the command again") from error


def _list(objects: list[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
