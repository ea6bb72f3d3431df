"""Look-ups in what the operator has in memory anyway. Nothing here asks the API server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from productionservice.children.references import Source
from productionservice.engine.caches import Caches


class Known:
    """The caches, as long as they are complete and their watches alive; otherwise nothing is known.

    `complete` is asked each time: a warning about something that has long been there would be untrue.
    """

    def __init__(self, caches: Caches, complete: Callable[[], bool]) -> None:
        self._caches, self._complete = caches, complete

    def has_service(self, namespace: str, name: str) -> bool:
        """See `advice.World`."""
        return not self._complete() or self._caches.parents.get((namespace, name)) is not None

    def keys_of(
        self, namespace: str, sources: Collection[Source]
    ) -> Mapping[Source, frozenset[str] | None] | None:
        """See `advice.World`."""
        found = self._caches.contents_of(namespace, sources) if self._complete() else None
        return None if found is None else {source: contents.keys for source, contents in found.items()}

    def absent(self, namespace: str) -> frozenset[str]:
        """See `advice.World`."""
        return self._caches.absent(namespace) if self._complete() else frozenset()
