"""JSON as the API server reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

_NOT_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON has raw in a string and YAML has not.

The API server reads the body of an apply with a YAML parser. To it U+0085, U+2028 and U+2029 end a line, so that
spaces beside them are folded away, and the others are "control characters" for which the whole body is refused.
"""


def encode(body: Mapping[str, Any]) -> bytes:
    """A body that means the same to a JSON parser and to a YAML 1.1 parser."""
    raw = orjson.dumps(body)
    if raw.isascii() and b"\x7f" not in raw:
        return raw
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found.group()):04x}", raw.decode()).encode()
