"""What the operator may do in the cluster: derived from the list of children, and no wider."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from productionservice.api import GROUP, PLURAL
from productionservice.children import CHILDREN

Rule = dict[str, Any]

_KEEP = ["create", "delete", "get", "list", "patch", "watch"]
"""get: whose is the object in the way? patch: server-side apply. No update, no deletecollection."""


def cluster_rules() -> list[Rule]:
    """Rules of the ClusterRole (or of a Role where the operator is confined to namespaces)."""
    return [
        _rule(GROUP, [PLURAL], ["get", "list", "watch"]),
        _rule(GROUP, [f"{PLURAL}/status"], ["patch"]),
        *_children(),
        _rule("", ["pods"], ["list", "watch"]),
        # Metadata only: whether they are there, and have changed (a test reads the API server's audit log).
        _rule("", ["configmaps", "secrets"], ["list", "watch"]),
        # Metadata only: which kinds the cluster has.
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["list", "watch"]),
        _rule("", ["events"], ["create", "patch"]),
    ]


def _children() -> Iterable[Rule]:
    kinds = sorted((kind for kind, _ in CHILDREN), key=lambda kind: (kind.group, kind.plural))
    for group, members in groupby(kinds, key=lambda kind: kind.group):
        yield _rule(group, [kind.plural for kind in members], _KEEP)


def _rule(group: str, resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
