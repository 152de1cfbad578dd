"""Interactions that are in memory already."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ivbpr_numba.datasets.pairs import Pairs
from ivbpr_numba.errors import DataError
from ivbpr_numba.ids import encode_ids
from ivbpr_numba.readers.times import MISSING, parse_times, settle_times

__all__ = ["pairs_of"]


def pairs_of(
    users: Iterable[object], items: Iterable[object], times: Iterable[object] | None = None
) -> Pairs:
    """Take interactions from memory; see `Dataset.from_pairs`."""
    tables = []
    for what, ids in (("user", users), ("item", items)):
        values, codes = np.unique(encode_ids(ids), return_inverse=True)
        _check_utf8(values, what)
        tables.append((values, codes.astype(np.int32).reshape(-1)))
    (user_ids, user_codes), (item_ids, item_codes) = tables
    seconds = None if times is None else _seconds(times)
    lengths = {len(user_codes), len(item_codes)} | (set() if seconds is None else {len(seconds)})
    if len(lengths) > 1:
        raise DataError("Users, items and times differ in number.", "Give one of each per interaction.")
    pairs = Pairs(user_codes, item_codes, seconds, user_ids, item_ids)
    pairs.note("read")
    return pairs


def _check_utf8(values: np.ndarray, what: str) -> None:
    for value in values.tolist():
        try:
            value.decode()
        except UnicodeDecodeError:
            raise DataError(f"The {what} id {value!r} is not UTF-8.", "Give ids as text.") from None


def _seconds(times: Iterable[object]) -> np.ndarray:
    values = np.asarray(times if isinstance(times, np.ndarray) else list(times))
    if values.dtype.kind == "M":
        numbers = values.astype("datetime64[s]").astype(np.int64)
    elif values.dtype.kind in "iu":
        numbers = values.astype(np.int64)
    else:
        numbers = parse_times(values.tolist())
    seconds, good, _ = settle_times(numbers)
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        missing = numbers[first] == MISSING
        what = "is not a time" if missing else "lies before 1970 or after 2099"
        raise DataError(f"The time at position {first}, {values[first]!s}, {what}.", "Mend or drop it.")
    return seconds
