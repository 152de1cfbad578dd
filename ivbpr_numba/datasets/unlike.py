"""Why the ids of two files don't meet: one of each, and what people usually did to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.readers.tables import shown

__all__ = ["no_common_item", "some_of"]

_LOOKED_AT = 1000

_CAUSES: list[tuple[str, Callable[[str], str]]] = [
    ("blanks around ids, as after the commas of a CSV", str.strip),
    ("quotes that are part of the id", lambda text: text.strip("\"'` ")),
    ("lost leading zeros", lambda text: text.lstrip("0")),
    ("'.0' at the end, of whole numbers stored as floats", lambda text: text.removesuffix(".0")),
    ("capital letters", str.casefold),
]


def _all_at_once(text: str) -> str:
    return text.strip("\"'` ").removesuffix(".0").lstrip("0").casefold()


def some_of(ids: np.ndarray) -> list[str]:
    """The first thousand ids of fixed-width UTF-8 as text."""
    return [value.decode("utf-8", "replace") for value in ids[:_LOOKED_AT].tolist()]


def no_common_item(
    what: str, ours: list[str], theirs: Iterable[str], where: str, hint: str = ""
) -> DataError:
    """The error for a file in which no item of the purchases occurs.

    Parameters
    ----------
    what : str
        What is impossible therefore: a clause without full stop.
    ours : list of str
        Some item ids of the purchases, at least one.
    theirs : iterable of str
        Item ids of the file.
    where : str
        The file, for the message.
    hint : str
        What to do where the ids tell no cause.
    """
    ids = list(theirs)
    if not ids:
        return DataError(f"{what}: {where} has no item id.", hint or "Check how it was made.")
    for cause, change in [*_CAUSES, ("several of blanks, quotes, zeros, '.0' and capitals", _all_at_once)]:
        known = {change(text): text for text in ours}
        for text in ids:
            own = known.get(change(text))
            if own is not None:
                return DataError(
                    f"{what}: the purchases write {shown(repr(own), 60)} where {where} writes "
                    f"{shown(repr(text), 60)}.",
                    f"The cause seems to be {cause}: make both alike.",
                )
    return DataError(
        f"{what}: the purchases have {shown(repr(ours[0]), 60)}, {where} has {shown(repr(ids[0]), 60)}.",
        hint
        or "Is it about the same items? Usual causes are blanks after commas, quotes, lost leading zeros, "
        "and '.0' at the end of numbers.",
    )
