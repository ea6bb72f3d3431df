"""The only source of labels and annotations. Selectors and recommended labels are different sets."""

from __future__ import annotations

DOMAIN = "productionservice.io"
SERVICE = f"{DOMAIN}/service"
COMPONENT = f"{DOMAIN}/component"
WEB = "web"

FIELD_MANAGER = "productionservice-operator"
"""Field manager of every child write."""
REPLICAS_MANAGER = "productionservice-operator-replicas"
"""Owns `spec.replicas` of the Deployment alone: leaving it to an autoscaler never resets it (ADR 0004)."""
MEND_MANAGER = "productionservice-operator-mend"
"""Replaces lists that others have added to, and gives them up at once (`engine/mend.py`)."""
STATUS_MANAGER = "productionservice-operator-status"

APPLIED_DIGEST = f"{DOMAIN}/applied-digest"
"""Annotation on each child: digest of the manifest applied last. It reveals fields that left the manifest."""
ADOPT = f"{DOMAIN}/adopt"
"""Annotation on an object that somebody else made: the name of the service that may take it over."""
PAUSED = f"{DOMAIN}/paused"
"""Annotation on a ProductionService: `until=<RFC 3339>; by=<who>; why=<text>` keeps its children as they are."""
RESTART = f"{DOMAIN}/references"
"""Annotation on each pod: changes when Secrets or ConfigMaps change that only a new pod would see."""
CONFIG = f"{DOMAIN}/config"
"""Annotation on each pod: the document handed to the service (ADR 0003)."""


def selector_labels(service: str) -> dict[str, str]:
    """Labels that select the serving pods of one service. Frozen for ever: selectors are immutable."""
    return {SERVICE: service, COMPONENT: WEB}


def recommended_labels(service: str) -> dict[str, str]:
    """Labels for people and dashboards; never used in a selector. What runs a version adds it (`children/pod.py`):
    a new image does not rewrite every other child.
    """
    return {
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/instance": service,
        "app.kubernetes.io/component": WEB,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
    }
