"""One option of a space: which values it may take, and its place between 0 and 1.

A search thinks in places: numbers are spread evenly, or by ratios, from 0 to 1; ordered values stand in the
middle of equal parts; values without an order have a part each, and no distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "Dimension", "Range"]

DIGITS = 3  # of a number that is tried


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes
    ----------
    name : str
        The option.
    low, high : float or int
        Both are tried.
    log : bool
        Even by ratios; `low` is then above 0.
    whole : bool
        Whole numbers only.
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    ordered = True

    def value(self, place: float) -> float | int:
        """The number at a place: low + p (high − low), or low (high / low)^p; of three digits, so that people
        can repeat it.
        """
        if self.log:
            found = self.low * math.exp(place * math.log(self.high / self.low))
        else:
            found = self.low + place * (self.high - self.low)
        if self.whole:
            return round(found)
        return min(max(float(f"{found:.{DIGITS}g}"), self.low), self.high)

    def place(self, value: Any) -> float:
        """Where a number stands; outside the range at its nearer end, of a word in the middle."""
        if not isinstance(value, int | float):
            return 0.5
        bounded = min(max(float(value), self.low), self.high)
        if self.log:
            return math.log(bounded / self.low) / math.log(self.high / self.low)
        return (bounded - self.low) / (self.high - self.low)

    def extremes(self) -> list[Any]:
        """Values that have to be possible if all are."""
        return [self.low, self.high]

    def as_document(self) -> Any:
        """As a TOML file says it."""
        return {"low": self.low, "high": self.high, **({"scale": "log"} if self.log else {})}


@dataclass(frozen=True)
class Choice:
    """One of several values; numbers among them are in order.

    Attributes
    ----------
    name : str
        The option.
    values : tuple
        Numbers ascend.
    ordered : bool
        Whether neighbours are alike: numbers are, words are not.
    """

    name: str
    values: tuple[Any, ...]
    ordered: bool

    def value(self, place: float) -> Any:
        """The value whose part of [0, 1] holds the place."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """The middle of a value's part; of a number that is not listed that of the nearest one.

        A word that is not listed is −1: unlike all others.
        """
        if value in self.values:
            n = self.values.index(value)
        elif self.ordered and isinstance(value, int | float):
            n = min(range(len(self.values)), key=lambda k: abs(self.values[k] - value))
        else:
            return -1.0
        return (n + 0.5) / len(self.values)

    def extremes(self) -> list[Any]:
        """Values that have to be possible if all are."""
        return list(self.values)

    def as_document(self) -> Any:
        """As a TOML file says it."""
        return list(self.values)


Dimension = Range | Choice
