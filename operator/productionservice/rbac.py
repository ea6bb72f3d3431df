"""What the operator may do in the cluster: derived from the list of children, and no wider.

A test has every right used, and every request allowed (tests/security/test_rights.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from productionservice.api import GROUP, PLURAL
from productionservice.children import CHILDREN

Rule = dict[str, Any]

_KEEP = ["create", "delete", "get", "list", "patch", "watch"]
"""get: whose is the object in the way? patch: server-side apply. No update, no deletecollection."""


def rules() -> dict[str, list[Rule]]:
    """Rules by what they are for: the chart leaves out those that an installation does not want.

    `services`: in the cluster, or in each namespace. `references`: likewise, and optional. `cluster`: for kinds that
    are in no namespace, so only where the operator is not confined to some.
    """
    return {
        "services": [
            _rule(GROUP, [PLURAL], ["list", "watch"]),
            _rule(GROUP, [f"{PLURAL}/status"], ["patch"]),
            *_children(),
            _rule("", ["pods"], ["list", "watch"]),
            _rule("", ["events"], ["create", "patch"]),
        ],
        # Metadata only: whether they are there, and have changed (a test reads the API server's audit log).
        "references": [_rule("", ["configmaps", "secrets"], ["list", "watch"])],
        # Metadata only: which kinds the cluster has.
        "cluster": [_rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["list", "watch"])],
    }


def cluster_rules() -> list[Rule]:
    """All of them."""
    return [rule for group in rules().values() for rule in group]


def lease_rules(name: str) -> list[Rule]:
    """For the Lease of this name, in the operator's own namespace."""
    # A name cannot restrict what does not exist yet.
    create = _rule("coordination.k8s.io", ["leases"], ["create"])
    return [create, {**_rule("coordination.k8s.io", ["leases"], ["get", "update"]), "resourceNames": [name]}]


def _children() -> Iterable[Rule]:
    kinds = sorted((kind for kind, _ in CHILDREN), key=lambda kind: (kind.group, kind.plural))
    for group, members in groupby(kinds, key=lambda kind: kind.group):
        yield _rule(group, [kind.plural for kind in members], _KEEP)


def _rule(group: str, resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
