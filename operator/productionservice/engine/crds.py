"""Notices CRDs that come and go, so that a kind installed later is used within moments, without a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from productionservice.engine.client import Client, Resource
from productionservice.engine.reflector import Reflector
from productionservice.engine.store import Delta, Store

CRDS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", metadata_only=True)


def watch_crds(client: Client, reflectors: Sequence[Reflector[Any]]) -> Reflector[int]:
    """A reflector of all CRDs, metadata only, that makes the unserved ones of `reflectors` look again."""
    by_name: dict[str, list[Callable[[], None]]] = {}
    for reflector in reflectors:
        resource = reflector.resource
        name = f"{resource.plural}.{resource.api_version.rpartition('/')[0]}"
        by_name.setdefault(name, []).append(reflector.maybe_served.set)

    def changed(delta: Delta[int]) -> None:
        for wake in by_name.get(delta.name[1], ()):
            wake()

    return Reflector(client, CRDS, Store(_nothing), changed)


def _nothing(_body: Mapping[str, Any], _before: int | None) -> int:
    """Only their names are of interest."""
    return 0
