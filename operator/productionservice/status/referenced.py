"""ReferencesReady: are the Secrets and ConfigMaps there that the spec refers to?"""

from __future__ import annotations

from productionservice.children.references import SECRET, Missing, references
from productionservice.status.conditions import REFERENCES_READY, Finding, done, in_progress, needs_someone
from productionservice.status.inputs import StatusInput
from productionservice.status.reasons import Reason


def evaluate(given: StatusInput) -> Finding | None:
    """None when the spec refers to nothing."""
    sources = {reference.source for reference in references(given.service.spec)}
    if not sources:
        return None
    if given.missing is None:
        text = "the operator may not list Secrets and ConfigMaps: grant it with the chart's ClusterRole"
        return in_progress(REFERENCES_READY, Reason.NOT_LOOKED_AT, text)
    if not given.missing:
        found = ", ".join(f"{kind} {name}" for kind, name in sorted(sources))
        return done(REFERENCES_READY, Reason.REFERENCES_FOUND, f"found {found}")
    text = "; ".join(missing.text for missing in given.missing)
    return needs_someone(REFERENCES_READY, _reason(given.missing[0]), text)


def _reason(first: Missing) -> Reason:
    if first.only_key:
        return Reason.KEY_NOT_FOUND
    return Reason.SECRET_NOT_FOUND if first.reference.kind == SECRET else Reason.CONFIG_MAP_NOT_FOUND
