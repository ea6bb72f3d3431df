"""What a spec refers to: Secrets, ConfigMaps and their keys, whether pods restart when they change, and services."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from productionservice.api.v1alpha1 import OnChange, Spec

SECRET, CONFIG_MAP, CALLEE = "Secret", "ConfigMap", "ProductionService"
Source = tuple[str, str]
"""Kind and name, in the service's namespace."""


@dataclass(frozen=True)
class Reference:
    """One place of the spec that names a Secret or ConfigMap."""

    kind: str
    name: str
    field: str
    """Where the spec says so."""
    key: str | None = None
    """The one key that is needed; None: whatever keys there are."""
    restart: bool = True
    """True when pods have to be replaced to see a change."""

    @property
    def source(self) -> Source:
        """What is referred to."""
        return self.kind, self.name


@dataclass(frozen=True)
class Missing:
    """Something that has to be there before a pod can start."""

    reference: Reference
    text: str
    """For people: what is missing, and where the spec asks for it."""
    only_key: bool = False
    """True when the object is there and lacks the key."""


def references(spec: Spec) -> tuple[Reference, ...]:
    """Every reference of the spec, in its order."""
    return (*_pull_secrets(spec), *_variables(spec), *_mounts(spec))


def callees(spec: Spec) -> dict[str, str]:
    """Services that the spec wants to call: name → where it says so first."""
    found: dict[str, str] = {}
    for index, peer in enumerate(spec.network.allow_to):
        if peer.service:
            found.setdefault(peer.service, f"spec.network.allowTo[{index}].service")
    return found


def restart_mark(
    spec: Spec, contents: Mapping[Source, str], *, again: Mapping[Source, str] | None = None, live: str = ""
) -> str:
    """Changes when pods have to be replaced to see what their Secrets and ConfigMaps hold now; empty without any.

    `contents` has one text for each source, another one for other content. It never holds the content itself.
    `again` has one for a source whose content has changed without its text; such a change stays in the mark of the
    pods, `live`, and is kept there for as long as nothing else changes.
    """
    wanted = sorted({reference.source for reference in references(spec) if reference.restart})
    if not wanted:
        return ""
    mark = _digest(f"{kind}/{name}={contents.get((kind, name), '')}" for kind, name in wanted)
    repeated = [text for source in wanted if (text := (again or {}).get(source))]
    if repeated:
        return f"{mark}-{_digest(repeated)}"
    return live if live.partition("-")[0] == mark else mark


def _digest(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def missing(spec: Spec, known: Mapping[Source, frozenset[str] | None]) -> tuple[Missing, ...]:
    """What the spec refers to and is not there. `known` has the keys of each source that exists; None where nobody
    knows its keys.
    """
    found: dict[Missing, None] = {}
    for ref in references(spec):
        keys = known.get(ref.source, frozenset())
        if ref.source not in known:
            found[Missing(ref, f"{ref.kind} {ref.name} does not exist (spec.{ref.field})")] = None
        elif ref.key is not None and keys is not None and ref.key not in keys:
            text = f"{ref.kind} {ref.name} has no key {ref.key} (spec.{ref.field})"
            found[Missing(ref, text, only_key=True)] = None
    return tuple(found)


def _pull_secrets(spec: Spec) -> Iterable[Reference]:
    """The kubelet reads these anew for each pull: running pods need no restart."""
    return (
        Reference(SECRET, name, f"image.pullSecrets[{index}]", restart=False)
        for index, name in enumerate(spec.image.pull_secrets)
    )


def _variables(spec: Spec) -> Iterable[Reference]:
    """Variables are read once, when a container starts."""
    for variable in spec.env:
        source = variable.value_from
        if source is None:
            continue
        for kind, ref in ((SECRET, source.secret_key_ref), (CONFIG_MAP, source.config_map_key_ref)):
            if ref is not None:
                yield Reference(kind, ref.name, f"env {variable.name}", ref.key)


def _mounts(spec: Spec) -> Iterable[Reference]:
    """The kubelet replaces mounted files by itself: whether that is enough is for the service to say."""
    for mount in spec.mounts:
        for kind, name in ((SECRET, mount.secret), (CONFIG_MAP, mount.config_map)):
            if name is not None:
                restart = mount.on_change is OnChange.RESTART
                yield Reference(kind, name, f"mounts {mount.path}", restart=restart)
