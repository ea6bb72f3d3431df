"""Kubernetes quantities in the one form that the API server keeps, so that wanted and live compare equal."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from itertools import count

_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_FACTORS = {
    **{unit: Fraction(1000**i, 1000**3) for i, unit in enumerate(_DECIMAL)},
    **{unit: Fraction(1024**i) for i, unit in enumerate(_BINARY) if unit},
}
_NANO = Fraction(1, 10**9)
_LARGEST = 2**63 - 1
"""The API server caps binary quantities here (`maxAllowed` in apimachinery's resource package)."""
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)")


def amount(text: str) -> Fraction:
    """The exact number that a quantity stands for: cores, bytes. Raises ValueError when it is no quantity."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity: write a number and a unit, such as 250m or 128Mi")
    number, unit = match.groups()
    if unit not in _FACTORS:
        raise ValueError(
            f"{text!r} has the unknown unit {unit!r}: write one of m, k, M, G, T, Ki, Mi, Gi, Ti"
        )
    return Fraction(number) * _FACTORS[unit]


@functools.lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """`text` as the API server writes it: no fraction, the largest unit that leaves a whole number.

    `0.5` → `500m`, `1024Mi` → `1Gi`, `1.5Gi` → `1536Mi`. Less than a nano is rounded up. A binary unit
    becomes decimal where it would not be whole (`0.1Mi` → `104857600m`) or is below 1024 (`0.5Ki` → `512`).
    """
    value = amount(text)
    binary = text.endswith("i")
    if binary:
        value = min(value, Fraction(_LARGEST))
    nanos = -(-value // _NANO)  # rounded up: who asks for too little gets the least there is
    if nanos == 0:
        return "0"
    whole = nanos % 10**9 == 0
    if binary and whole and nanos // 10**9 >= 1024:
        return _largest_unit(nanos // 10**9, 1024, _BINARY)
    return _largest_unit(nanos, 1000, _DECIMAL)


def _largest_unit(number: int, step: int, units: tuple[str, ...]) -> str:
    for position in count():
        if number % step or position == len(units) - 1:
            return f"{number}{units[position]}"
        number //= step
    raise AssertionError  # count() never ends
