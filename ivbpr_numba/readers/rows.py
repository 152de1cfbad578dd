"""What every reader gives: users, items and times of some lines, and how it knew the format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.streams import ByteStream

__all__ = ["SOURCES", "Reader", "Rows", "matching"]

SOURCES = ("amazon-2014", "amazon-2018", "amazon-2023", "simple", "table")


class Rows(NamedTuple):
    """Some interactions as they were read, not yet checked.

    Attributes
    ----------
    lines : (n,) int64
    users, items : lists of n
        Text, or whatever stood there.
    times : list of n, or None
        Where the input has no times.
    """

    lines: np.ndarray
    users: list[Any]
    items: list[Any]
    times: list[Any] | None


@dataclass
class Reader:
    """One input whose format is known.

    Attributes
    ----------
    stream : ByteStream
    source : str
        One of `SOURCES`.
    kind : str
        ``reviews``, ``ratings``, ``CSV`` …
    why : str
        What in the content (or which option) decided.
    columns : dict of str to str
        Where user, item and time come from.
    read : callable
        Takes the `BadLines` to fill and gives the rows, once.
    compact_dates : bool
        Times of eight digits are dates.
    unit : str
        What bad lines are called.
    time_format : str or None
        Form of the times, as in `datetime.strptime`.
    """

    stream: ByteStream
    source: str
    kind: str
    why: str
    columns: dict[str, str]
    read: Callable[[BadLines], Iterator[Rows]]
    compact_dates: bool = False
    unit: str = "line"
    time_format: str | None = None


def matching(values: list[Any], good: Callable[[str], object]) -> float:
    """Share of the values that are text for which `good` holds; 0 of nothing."""
    return sum(isinstance(v, str) and bool(good(v)) for v in values) / len(values) if values else 0.0
