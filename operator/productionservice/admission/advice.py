"""What to tell whoever writes a ProductionService: pure, from the object and what is known of its namespace."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from productionservice.api import ProductionService, parse
from productionservice.api.v1alpha1 import EgressPeer, IngressPeer
from productionservice.availability import explain, problems
from productionservice.children import BuildContext
from productionservice.children.exposure import refusal, unheeded
from productionservice.children.references import Source, missing, references
from productionservice.effective import compute_effective
from productionservice.errors import InvalidSpec

LONGEST = 256
"""Characters of one warning; the API server may cut longer ones."""
MOST = 15
"""Warnings of one answer: the API server passes on 4,096 characters in all."""


class World(Protocol):
    """What can be looked up, from memory: an admission must not wait for other requests."""

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is such a ProductionService. True while nobody knows."""
        ...

    def keys_of(
        self, namespace: str, sources: Collection[Source]
    ) -> Mapping[Source, frozenset[str] | None] | None:
        """The keys of those `sources` that exist, None where nobody knows them. None while nobody knows any."""
        ...

    def absent(self, namespace: str) -> frozenset[str]:
        """Kinds of children that the cluster does not serve there; empty while nobody knows."""
        ...


def advise(
    body: Mapping[str, Any], world: World, zones: int | None, context: BuildContext | None = None
) -> list[str]:
    """Warnings about one object in its JSON form, each of one line.

    `zones` as in `availability.problems`; `context` says what the platform offers.
    """
    try:
        service = parse(body)
        effective = compute_effective(service.spec)
    except InvalidSpec as error:
        return _fitting(error.problems)
    found = [f"{each.field}: {each.message}" for each in problems(service.spec, effective, zones)]
    if found:
        found.append(f"what to expect: {explain(service.spec, effective, zones)}")
    edge = _edge(service, world, context or BuildContext())
    return _fitting([*found, *edge, *_missing(service, world), *_strangers(service, world)])


def _edge(service: ProductionService, world: World, context: BuildContext) -> Iterator[str]:
    """A Gateway that is not offered, and what the edge cannot do."""
    refused = refusal(service, context)
    if refused:
        yield f"{refused}; until then nothing is exposed"
    as_it_is = replace(context, absent=world.absent(service.metadata.namespace))
    yield from (f"{each.field}: {each.message}" for each in unheeded(service, as_it_is))


def _missing(service: ProductionService, world: World) -> Iterator[str]:
    """Secrets, ConfigMaps and keys that are not there. Who applies a folder of files may well bring them next."""
    namespace = service.metadata.namespace
    known = world.keys_of(namespace, {reference.source for reference in references(service.spec)})
    for gap in missing(service.spec, known) if known is not None else ():
        kind, name, key = gap.reference.kind, gap.reference.name, gap.reference.key
        if gap.only_key:
            what, advice = f"{kind} '{name}' in namespace {namespace} has no key '{key}'", "a key"
        else:
            what, advice = f"there is no {kind} '{name}' in namespace {namespace}", "the name of one"
        yield f"spec.{gap.reference.field}: {what} yet, and pods need it; create it, or write {advice} that there is"


def _strangers(service: ProductionService, world: World) -> Iterator[str]:
    """Names in `network` that no service has. In which order a team makes its services is its own business."""
    network = service.spec.network
    yield from _unknown(service, world, "allowFrom", network.allow_from)
    yield from _unknown(service, world, "allowTo", network.allow_to)


def _unknown(
    service: ProductionService, world: World, field: str, peers: Sequence[IngressPeer | EgressPeer]
) -> Iterator[str]:
    namespace, itself = service.metadata.namespace, service.metadata.name
    for index, peer in enumerate(peers):
        if peer.service and peer.service != itself and not world.has_service(namespace, peer.service):
            yield (
                f"spec.network.{field}[{index}].service: there is no ProductionService '{peer.service}' in "
                f"namespace {namespace} yet; create it, or write the name of one that there is"
            )


def _fitting(lines: list[str]) -> list[str]:
    """As many as the API server passes on, none too long, and how many are left out."""
    kept = [line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…" for line in lines]
    if len(kept) <= MOST:
        return kept
    return [*kept[: MOST - 1], f"and {len(kept) - MOST + 1} more"]
