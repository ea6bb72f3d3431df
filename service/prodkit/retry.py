"""A budget of retries: a few hide a hiccup, many turn it into an outage.

budget = RetryBudget()
budget.earn()                    # for every call
if budget.spend(): ...           # for every retry: False when it is used up
"""

from __future__ import annotations


class RetryBudget:
    """Retries of one dependency, at most a part of its calls (Google SRE book, chapter 21: a tenth)."""

    def __init__(self, *, ratio: float = 0.1, reserve: float = 10.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._left = reserve

    @property
    def fill(self) -> float:
        """What is left of it, from 0 to 1."""
        return self._left / self._reserve

    def earn(self) -> None:
        """A call is made."""
        self._left = min(self._reserve, self._left + self._ratio)

    def spend(self) -> bool:
        """Whether a retry may be made."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
