"""What a cache decides, as pure functions: how long a value lives, what to do with it, when to try again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Age(StrEnum):
    """What a kept value is good for."""

    FRESH = "fresh"
    """Serve it."""
    STALE = "stale"
    """Serve it, and load a new one behind the caller's back."""
    GONE = "gone"
    """The caller has to wait for a new one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Times of one cache, in seconds. The defaults are for data that may be a second old."""

    soft_seconds: float = 1.0
    """A value is fresh this long (up to a tenth longer, so that keys filled together do not expire together)."""
    stale_seconds: float = 0.0
    """After that it is still served for this long while a new one is loaded, or while that fails."""
    absent_seconds: float = 10.0
    """Longest fresh time of None, which means: there is no such thing."""
    local_seconds: float = 1.0
    """A value from the shared store is kept in the process this long, at most half of the soft time: the bound
    for how late a change in another process is seen."""
    patience_seconds: float = 0.02
    """A store that takes longer is not waited for while this process has a copy that may be served."""
    lease_seconds: float = 2.0
    """One process at a time loads a key; it is given up for lost after this or three times the last load."""
    wait_seconds: float = 2.0
    """Others wait this long for that process before they load a missing key themselves."""
    backoff_seconds: float = 1.0
    """Pause after a failed refresh, doubled for each further one, ± 50 %."""
    max_backoff_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 <= value <= 86_400:
                raise ValueError(f"{name}: {value} cannot be used: write seconds between 0 and 86400")

    @property
    def local_lifetime(self) -> float:
        """Seconds that a shared value is kept in the process before the store is asked again."""
        return min(self.local_seconds, self.soft_seconds / 2)


_JITTER = 0.1


def soft_lifetime(policy: Policy, *, absent: bool, chance: float) -> float:
    """Fresh seconds of a value loaded now; `chance` is from [0, 1).

    Longer than asked for by up to a tenth, never shorter: at most one load in `soft_seconds` is a promise.
    """
    seconds = min(policy.soft_seconds, policy.absent_seconds) if absent else policy.soft_seconds
    return seconds * (1 + _JITTER * chance)


def age(now: float, *, soft_until: float, hard_until: float) -> Age:
    """What a value with these ends is good for at `now`."""
    if now < soft_until:
        return Age.FRESH
    return Age.STALE if now < hard_until else Age.GONE


def lease_lifetime(policy: Policy, last_load_seconds: float) -> float:
    """Seconds after which a process that loads a key is given up for lost."""
    return max(policy.lease_seconds, 3 * last_load_seconds)


def backoff(policy: Policy, failures: int, *, chance: float) -> float:
    """Seconds until the next refresh after so many failures in a row (≥ 1); `chance` is from [0, 1)."""
    pause = min(policy.max_backoff_seconds, policy.backoff_seconds * 2.0 ** min(failures - 1, 16))
    return pause * (0.5 + chance)


def poll_pause(attempt: int, *, chance: float) -> float:
    """Seconds between two looks for another process's value: 20 ms growing to 100 ms, ± 25 %."""
    return min(0.1, 0.02 * 1.5 ** min(attempt, 16)) * (0.75 + chance / 2)


def storage_key(app: str, schema: str, namespace: str, generation: int, key: str) -> str:
    """Name of a value in the shared store.

    `schema` is a digest of the value's type, so that two versions of a service never read each other's shape;
    the digest of `key` bounds the length and keeps hostile characters out.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{app}:{schema}:{namespace}:{generation}:{digest}"
