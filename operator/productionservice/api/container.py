"""What runs and what it gets to see: image, environment variables, folders."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from productionservice.api.markers import CelRule, ListSet, Text
from productionservice.api.model import Model, ObjectName, Quantity, exactly_one

_HOST = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PART = "[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*"
_REPOSITORY = f"^({_HOST}([.]{_HOST})*(:[0-9]+)?/)?{_PART}(/{_PART})*$"
"""An image name as the distribution project's reference grammar has it, in lower case."""
_QUALIFIED_NAME = "([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LABEL_OR_ANNOTATION = f"^metadata[.](labels|annotations)[[]\\'{_QUALIFIED_NAME}\\'[]]$"


class Image(Model):
    """Which image runs. A tag, a digest, or both (then the digest decides)."""

    RULES = (
        CelRule(
            "has(self.tag) || has(self.digest)",
            "image.tag: write an immutable tag such as v1.4.2, or image.digest",
            field_path=".tag",
        ),
        CelRule(
            "!has(self.tag) || self.tag.lowerAscii() != 'latest'",
            "image.tag: 'latest' does not say what runs; write an immutable tag such as v1.4.2",
            field_path=".tag",
        ),
        CelRule(
            "self.repository.contains('@') || !self.repository.matches(':[^/]*$')",
            "image.repository: write the tag in image.tag, not here",
            field_path=".repository",
        ),
        CelRule(
            "!self.repository.contains('@')",
            "image.repository: write the digest in image.digest, not here",
            field_path=".repository",
        ),
        CelRule(
            "self.repository.contains('@') || self.repository.matches(':[^/]*$') || "
            f"self.repository.matches('{_REPOSITORY}')",
            "image.repository: write one such as registry.example/shop/catalog, in lower case and without https://",
            "'image.repository: %s is no repository; write one such as registry.example/shop/catalog, in lower "
            "case and without https://'.format([self.repository])",
            ".repository",
        ),
    )

    repository: Annotated[str, Field(min_length=1, max_length=255)]
    """Image without tag and digest, for example `registry.example/shop/catalog`."""
    tag: (
        Annotated[
            str,
            Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"),
            Text("tag", "letters, digits, ., _ and -, such as v1.4.2"),
        ]
        | None
    ) = None
    """Immutable tag, for example `v1.4.2`. `latest` is refused."""
    digest: (
        Annotated[
            str,
            Field(max_length=71, pattern=r"^sha256:[a-f0-9]{64}$"),
            Text("digest", "sha256: and 64 hex digits"),
        ]
        | None
    ) = None
    """Digest that is run whatever the tag says, for example `sha256:` and 64 hex digits."""
    pull_secrets: Annotated[list[ObjectName], Field(max_length=8), ListSet()] = []
    """Names of image pull Secrets in the same namespace."""


class KeyRef(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    RULES = (
        CelRule(
            "self.key != '.' && !self.key.startsWith('..')",
            "key: '.' and what begins with '..' are no keys; write the name of one in the object",
            "'key: %s is no key; write the name of one in the object'.format([self.key])",
            ".key",
        ),
    )

    name: ObjectName
    """Name of the object."""
    key: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$"),
        Text("key", "letters, digits, ., _ and -"),
    ]
    """Key inside the object."""


class FieldRef(Model):
    """A field of the pod itself."""

    RULES = (
        CelRule(
            "self.fieldPath in ['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', "
            "'spec.serviceAccountName', 'status.hostIP', 'status.podIP', 'status.podIPs'] || "
            f"self.fieldPath.matches('{_LABEL_OR_ANNOTATION}')",
            "fieldRef.fieldPath: write metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], "
            "metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.podIP or "
            "status.podIPs",
            field_path=".fieldPath",
        ),
    )

    field_path: Annotated[str, Field(min_length=1, max_length=253)]
    """For example `metadata.name`, `metadata.labels['KEY']`, `status.podIP`, `spec.nodeName`."""


class EnvSource(Model):
    """Where the value of an environment variable comes from. Exactly one of the three."""

    RULES = (
        CelRule(
            exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef"),
            "env.valueFrom: write exactly one of secretKeyRef, configMapKeyRef and fieldRef",
        ),
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """A field of the pod."""


class EnvVar(Model):
    """One environment variable: `value` or `valueFrom`."""

    RULES = (
        CelRule(
            "has(self.value) != has(self.valueFrom)",
            "env: write either value or valueFrom",
            "'env %s: write either value or valueFrom'.format([self.name])",
        ),
        CelRule(
            "!self.name.startsWith('PRODUCTIONSERVICE_')",
            "env.name: names that begin with PRODUCTIONSERVICE_ are the operator's; write another one",
            field_path=".name",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        Text("name of a variable", "letters, digits and _, such as LOG_LEVEL"),
    ]
    """Name of the variable. `PRODUCTIONSERVICE_CONFIG` is the operator's own."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """The value as it is; `$(…)` is not expanded."""
    value_from: EnvSource | None = None
    """Where to take the value from."""


class Scratch(Model):
    """A writable folder that lives as long as the pod."""

    RULES = (
        CelRule(
            "!isQuantity(self.size) || quantity(self.size).compareTo(quantity('1Ki')) >= 0",
            "mounts.scratch.size: a number without a suffix is bytes; write an amount such as 64Mi",
            "'mounts.scratch.size: %s is in bytes and holds nothing; write an amount such as 64Mi'"
            ".format([self.size])",
            ".size",
        ),
    )

    size: Quantity = "64Mi"
    """Most that it may hold; the pod is evicted beyond."""
    memory: bool = False
    """True keeps it in memory; it then counts against the memory limit."""


class OnChange(StrEnum):
    """What happens when a Secret or ConfigMap changes."""

    RESTART = "Restart"
    RELOAD = "Reload"


class Mount(Model):
    """One folder in the container: exactly one of `configMap`, `secret`, `scratch`."""

    RULES = (
        CelRule(
            exactly_one("configMap", "secret", "scratch"),
            "mounts: write exactly one of configMap, secret and scratch",
            "'mounts %s: write exactly one of configMap, secret and scratch'.format([self.path])",
        ),
        CelRule(
            "!self.path.matches('^/((etc/productionservice|proc|sys|dev|var/run/secrets|run/secrets)(/.*)?|etc/?)?$')",
            "mounts.path: this folder belongs to the system or the operator; write another one",
            "'mounts.path: %s belongs to the system or the operator; write another folder'.format([self.path])",
            ".path",
        ),
        CelRule(
            "!self.path.matches('(^|/)[.][.]?(/|$)') && !self.path.matches('//') && !self.path.matches('./$')",
            "mounts.path: write it without '.', '..', '//' and a '/' at the end",
            field_path=".path",
        ),
    )

    path: Annotated[
        str,
        Field(min_length=1, max_length=255, pattern=r"^/[^:\s]*$"),
        Text("folder", "an absolute path without spaces and colons, such as /data"),
    ]
    """Absolute path in the container."""
    config_map: ObjectName | None = None
    """ConfigMap whose keys become files, read-only."""
    secret: ObjectName | None = None
    """Secret whose keys become files, read-only."""
    scratch: Scratch | None = None
    """Writable scratch space."""
    on_change: OnChange = OnChange.RESTART
    """When the ConfigMap or Secret changes: `Restart` replaces the pods one by one; `Reload` leaves them alone, for a
    service that reads the files anew by itself."""
