"""What an add-on is: a name, what it is made from, and a check that proves that it does its work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.providers import Cluster

Json = dict[str, Any]

LABEL = "e2e.productionservice.io/addon"
"""On every object and pod of an add-on, with its name: how `list` and the measurements find them."""


@dataclass(frozen=True)
class Addon:
    """Software that a production cluster has beside Kubernetes itself.

    `images` gives docker-archive files (built on first use), `manifests` the objects, namespaces before what is
    in them. `ready` raises what `eventually` waits for (AssertionError, LookupError, OSError, a failed command)
    until the add-on really works; it has `within` seconds. `needs` are other add-ons' names.
    """

    name: str
    summary: str
    version: str
    images: Callable[[], Iterable[Path]]
    manifests: Callable[[], list[Json]]
    ready: Callable[[Cluster], None]
    needs: tuple[str, ...] = ()
    within: float = 120.0

    def objects(self) -> list[Json]:
        """The manifests, labelled as this add-on's."""
        return [_labelled(manifest, self.name) for manifest in self.manifests()]


def _labelled(manifest: Mapping[str, Any], name: str) -> Json:
    """A copy with the label, in the pod template too."""
    copy = {**manifest, "metadata": _with_label(manifest["metadata"], name)}
    if template := manifest.get("spec", {}).get("template"):
        marked = {**template, "metadata": _with_label(template.get("metadata", {}), name)}
        copy["spec"] = {**manifest["spec"], "template": marked}
    return copy


def _with_label(metadata: Mapping[str, Any], name: str) -> Json:
    return {**metadata, "labels": {**(metadata.get("labels") or {}), LABEL: name}}
