"""Where a live object does not contain what is wanted: `desired ⊆ live`, in the terms of server-side apply.

A map is compared key by key, and keys that only the live object has are none of our business. A list that
the API merges by key is compared item by item. All else is written whole by an apply: it is compared whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from productionservice.children.context import Manifest

MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
}
"""Lists that the API server merges by key (`x-kubernetes-list-map-keys`); for `ports` see `_merge_key`."""

MERGED = frozenset({*MERGE_KEYS, "ports"})
"""Fields that hold such lists; those whose items need not be equal."""

COMPLETE_LISTS = frozenset({"spec.ports"})
"""Merged lists that nobody else may add to: a port added to the Service by hand opens what the spec does not."""

CLOSED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "NetworkPolicy": ("ingress", "egress"),
    "CiliumNetworkPolicy": ("ingress", "ingressDeny", "enableDefaultDeny"),
}
"""By kind: fields of `spec` that nobody else may add. Rules added to a policy without any open the service."""

ATOMIC_MAPS = frozenset({
    "selector", "podSelector", "namespaceSelector", "labelSelector", "endpointSelector",
    "fieldRef", "secretKeyRef", "configMapKeyRef",
})  # fmt: skip
"""Maps that an apply writes whole (`x-kubernetes-map-type: atomic`): a key added to a selector is drift."""

_SECRET_PATHS = (".env[", ".annotations.")
"""Values that may be confidential, or as long as a book: only their place is said."""
_VALUE_LIMIT = 60  # characters of a value in a message


def drift(desired: Manifest, live: Manifest) -> list[str]:
    """Paths, with the wanted and the found value, where `live` does not contain `desired`. Empty: as wanted.

    `apiVersion` and `kind` are how the object was looked up (and lists leave them out): not compared.
    """
    body = {key: value for key, value in desired.items() if key not in {"apiVersion", "kind"}}
    if desired["kind"] not in CLOSED_FIELDS and _contains("", body, live):
        return []  # nearly always: no need to say where
    added = [field for field in unwanted_fields(desired) if (live.get("spec") or {}).get(field)]
    return [*_differences("", body, live), *(f"spec.{field}: not wanted" for field in added)]


def unwanted_fields(desired: Manifest) -> list[str]:
    """Fields of `spec` that the manifest leaves out and that nobody else may fill in."""
    return [field for field in CLOSED_FIELDS.get(desired["kind"], ()) if field not in desired["spec"]]


def _contains(field: str, desired: Any, live: Any) -> bool:
    """True only if `_differences` finds nothing. Lists of maps are compared whole: for those that are merged by key
    and were added to, `_differences` has the last word.
    """
    if desired == live:
        return True  # most parts: only those with defaults of the API server in them need a closer look
    if type(desired) is dict and type(live) is dict and field not in ATOMIC_MAPS:
        return all(_contains(key, value, live.get(key)) for key, value in desired.items())
    if type(desired) is list and type(live) is list and field in MERGED:
        return len(desired) == len(live) and all(
            _contains("", one, other) for one, other in zip(desired, live, strict=True)
        )
    return False


def _differences(path: str, desired: Any, live: Any) -> Iterator[str]:
    match desired:
        case Mapping() if isinstance(live, Mapping) and _field(path) not in ATOMIC_MAPS:
            for key, value in desired.items():
                yield from _differences(f"{path}.{key}" if path else key, value, live.get(key))
        case list() if isinstance(live, list) and (keys := _merge_key(path, desired)):
            found = {_identity(item, keys): item for item in live}
            for item in desired:
                name = "/".join(str(part) for part in _identity(item, keys))
                yield from _differences(f"{path}[{name}]", item, found.get(_identity(item, keys)))
            if path in COMPLETE_LISTS and len(found) > len(desired):
                yield f"{path}: {len(found) - len(desired)} more than wanted"
        case _ if desired != live:
            yield _describe(path, desired, live)


def _field(path: str) -> str:
    """Last field name of a path; `env[X]` is an item, not the field `env`."""
    return "" if path.endswith("]") else path.rpartition(".")[2]


def _merge_key(path: str, items: Sequence[Any]) -> tuple[str, ...] | None:
    field = _field(path)
    if field != "ports":
        return MERGE_KEYS.get(field)
    if all("containerPort" in item for item in items):
        return ("containerPort", "protocol")
    # Ports of a Service are merged; those of a NetworkPolicy's rule are not.
    return ("port", "protocol") if path == "spec.ports" else None


def _identity(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in keys) if isinstance(item, Mapping) else (item,)


def _describe(path: str, desired: Any, live: Any) -> str:
    if any(secret in path for secret in _SECRET_PATHS):
        return f"{path}: {'missing' if live is None else 'changed'}"
    return f"{path}: wanted {_short(desired)}, found {'nothing' if live is None else _short(live)}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return "a list" if isinstance(value, list) else "a map"
    text = str(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 1]}…"
