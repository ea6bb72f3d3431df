"""Names of children and label values: the only place that makes them."""

from __future__ import annotations

import hashlib
import re

NAME_LIMIT = 63
"""DNS label length: Service names and label values end here (RFC 1123)."""
_HASH_LENGTH = 8


def child_name(service: str, suffix: str = "") -> str:
    """`service` or `service-suffix`, at most 63 characters.

    A longer one is cut and gets a hash of the whole, so that distinct inputs never share a name.
    """
    name = f"{service}-{suffix}" if suffix else service
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=_HASH_LENGTH // 2).hexdigest()
    return f"{name[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip('-.')}-{digest}"


def label_value(text: str) -> str:
    """`text` as a valid label value: other characters become `_`, at most 63, alphanumeric at both ends."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:NAME_LIMIT]
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", cleaned)


def volume_name(mount_path: str) -> str:
    """Name of the volume that is mounted at `mount_path`: readable, and distinct for distinct paths."""
    readable = re.sub(r"[^a-z0-9]+", "-", mount_path.lower()).strip("-")
    digest = hashlib.blake2b(mount_path.encode(), digest_size=_HASH_LENGTH // 2).hexdigest()
    return f"{readable[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip('-')}-{digest}".lstrip("-")
