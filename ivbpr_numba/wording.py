"""Words that many messages have in common."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

__all__ = ["first_of"]

NAMED = 10


def first_of(names: Iterable[object], count: int | None = None, most: int = NAMED) -> str:
    """The first names of a list, and how many more there are: ``a, b, … and 3 more``.

    Parameters
    ----------
    names : iterable
        All, or as many of the first ones as are known.
    count : int, optional
        How many there are, where `names` are not all.
    most : int
        So many are named.
    """
    if count is None:
        names = list(names)
        count = len(names)
    shown = [str(name) for name in islice(names, most)]
    more = count - len(shown)
    if more <= 0:
        return ", ".join(shown)
    return f"{', '.join(shown)}, … and {more:,} more" if shown else f"{more:,}"
