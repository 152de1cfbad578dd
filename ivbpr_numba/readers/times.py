"""Moments as people write them: ISO dates, unix seconds, milliseconds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError

__all__ = ["LATEST", "MISSING", "are_compact_dates", "parse_moment", "parse_times", "settle_times"]

LATEST = 4_102_444_800  # 2100-01-01; a purchase after that is a mistake
MILLISECONDS_ABOVE = 100_000_000_000  # seconds would be in the year 5138
_FRACTIONS_ABOVE = 100_000_000
MISSING = np.iinfo(np.int64).min  # stands for a time that could not be read

_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(.*)", re.ASCII | re.DOTALL)
_COMPACT = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)


def are_compact_dates(texts: Iterable[str]) -> bool:
    """Whether all of these (at least one) look like ``20180920``, which would be a second of 1970."""
    return all(map(_COMPACT.fullmatch, seen := list(texts))) and bool(seen)


def _parse_date(text: str) -> int | None:
    found = _DATE.fullmatch(text)
    if found:
        year, month, day, rest = found.groups()
        text = f"{year}-{month:0>2}-{day:0>2}{rest}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp())


def _parse_text(text: str, compact: bool) -> int:
    text = text.strip()
    if compact and len(text) == 8 and text.isdecimal():
        number = _parse_date(f"{text[:4]}-{text[4:6]}-{text[6:]}")
        return MISSING if number is None else number
    try:
        value = float(text)
    except ValueError:
        number = _parse_date(text)
        return MISSING if number is None else number
    # float() also reads "nan", "inf" and numbers beyond int64; a small number with a fraction is a price.
    is_time = abs(value) < 2**62 and (value == math.floor(value) or value >= _FRACTIONS_ABOVE)
    return math.floor(value) if is_time else MISSING


def parse_times(values: Sequence[Any], compact: bool = False) -> np.ndarray:
    """Read times of one column as numbers, not yet told whether seconds or milliseconds.

    Parameters
    ----------
    values : sequence of str, int or float
    compact : bool
        Eight digits are a date (``20180920``), not seconds.

    Returns
    -------
    (n,) int64
        Seconds for dates, the number itself for numbers, `MISSING` for what can't be read.
    """
    if not compact:
        try:
            if set(map(type, values)) <= {int, str}:
                return np.fromiter(map(int, values), np.int64, len(values))
        except (ValueError, OverflowError):
            pass  # not all are integers: one by one
    known: dict[Any, int] = {}
    for value in values:
        key = value if isinstance(value, str) else repr(value)
        if key not in known:
            known[key] = MISSING if isinstance(value, bool) else _parse_text(key, compact)
    return np.array([known[v if isinstance(v, str) else repr(v)] for v in values], dtype=np.int64)


def settle_times(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Turn milliseconds into seconds and mark absurd times.

    A number above 10¹¹ means milliseconds. A time before 1970 or after 2099 is absurd.

    Returns
    -------
    seconds : (n,) int64
    good : (n,) bool
    milliseconds : int
        How many were milliseconds.
    """
    is_milli = numbers > MILLISECONDS_ABOVE
    n_milli = int(np.count_nonzero(is_milli))
    seconds = np.where(is_milli, numbers // 1000, numbers) if n_milli else numbers
    return seconds, (seconds >= 0) & (seconds < LATEST), n_milli


def parse_moment(text: object, what: str = "date") -> int:
    """Read one date or time given by a user, in seconds since 1970.

    Raises
    ------
    UsageError
        When it can't be read or is absurd.
    """
    shown = str(text)
    seconds, good, _ = settle_times(parse_times([shown], are_compact_dates([shown.strip()])))
    if not good[0]:
        raise UsageError(f"'{shown}' is not a {what}.", "Write 2020-09-01, 2020-09-01T12:30 or unix seconds.")
    return int(seconds[0])
