"""Moments as people write them: ISO dates, and unix time in seconds, milli-, micro- or nanoseconds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError
from ivbpr_numba.errors import shown as quoted

__all__ = [
    "LATEST",
    "MISSING",
    "UNITS",
    "are_compact_dates",
    "are_times",
    "day_and_month",
    "parse_moment",
    "parse_times",
    "settle_times",
]

LATEST = 4_102_444_800  # 2100-01-01; a purchase after that is a mistake
# From these on a number counts finer units: as seconds it would be in the year 5138, as milliseconds too …
UNITS = {"milliseconds": 10**11, "microseconds": 10**14, "nanoseconds": 10**17}
_FRACTIONS_ABOVE = 100_000_000
_LONGEST = 80  # characters of a moment
_FORMS = "Write 2020-09-01, 2020-09-01T12:30 or unix seconds."
MISSING = np.iinfo(np.int64).min  # stands for a time that could not be read

_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(.*)", re.ASCII | re.DOTALL)
_SWAPPABLE = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(.*)", re.ASCII | re.DOTALL)
_INTEGER = re.compile(r"[+-]?\d{1,18}|[+-]?[1-4]\d{18}", re.ASCII)
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


def day_and_month(text: str) -> tuple[int, int] | None:
    """Seconds of a date that ends in its year, read with the day first and with the month first.

    ``31/12/2019``, also with points or hyphens and with a time behind. `MISSING` stands for a reading that is
    no date; None where neither is one.
    """
    found = _SWAPPABLE.fullmatch(text.strip())
    if found is None:
        return None
    first, _, second, year, rest = found.groups()
    read = [_parse_date(f"{year}-{m}-{d}{rest}") for d, m in ((first, second), (second, first))]
    if read == [None, None]:
        return None
    by_day, by_month = (MISSING if seconds is None else seconds for seconds in read)
    return by_day, by_month


def are_times(values: Sequence[Any], compact: bool = False, least: int = 0) -> np.ndarray:
    """Which values are times from `least` seconds on, (n,) bool; dates that begin with day or month count."""
    seconds, good, _ = settle_times(parse_times(values, compact))
    good &= seconds >= least
    for k in np.flatnonzero(~good).tolist():
        text = values[k]
        good[k] = isinstance(text, str) and day_and_month(text) is not None
    return good


def _parse_text(text: str, compact: bool) -> int:
    text = text.strip()
    if _INTEGER.fullmatch(text) and not (compact and len(text) == 8):
        return int(text)  # exact: a float holds 53 bits only
    if compact and len(text) == 8 and _INTEGER.fullmatch(text):
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
    """Read times of one column as numbers, not yet told whether seconds or finer units.

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


def settle_times(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Turn finer units into seconds and mark absurd times.

    Their size tells the unit: above 10¹¹ numbers are milliseconds, above 10¹⁴ microseconds, above 10¹⁷
    nanoseconds. So each of them has to be later than 1973-03-03. A time before 1970 or after 2099 is absurd.

    Returns
    -------
    seconds : (n,) int64
    good : (n,) bool
    units : dict of str to int
        How many were ``milliseconds``, ``microseconds``, ``nanoseconds``; units that did not occur are left
        out.
    """
    seconds, units, above = numbers, {}, list(UNITS.values())
    if len(numbers) and numbers.max() > above[0]:
        seconds = numbers.copy()
        for place, (unit, least) in enumerate(UNITS.items()):
            own = numbers > least
            if place + 1 < len(above):
                own &= numbers <= above[place + 1]
            if count := int(np.count_nonzero(own)):
                units[unit] = count
                seconds[own] //= 1000 ** (place + 1)
    return seconds, (seconds >= 0) & (seconds < LATEST), units


def parse_moment(text: object, what: str = "date") -> int:
    """Read one date or time given by a user, in seconds since 1970.

    Raises
    ------
    UsageError
        When it can't be read, is absurd, or its day and month may be either.
    """
    shown = str(text)
    if len(shown) > _LONGEST:
        given = f"Text of {len(shown):,} characters" if isinstance(text, str) else quoted(text)
        raise UsageError(f"{given} is not a {what}.", _FORMS)
    numbers = parse_times([shown], are_compact_dates([shown.strip()]))
    swappable = day_and_month(shown)
    if swappable is not None:
        known = set(swappable) - {MISSING}
        if len(known) > 1:
            raise UsageError(
                f"'{shown}' may begin with its day or with its month.", "Write it as year-month-day."
            )
        numbers = np.array([*known], dtype=np.int64)
    seconds, good, _ = settle_times(numbers)
    if not good[0]:
        problem = f"is not a {what}" if numbers[0] == MISSING else "lies before 1970 or after 2099"
        raise UsageError(f"'{shown}' {problem}.", _FORMS)
    return int(seconds[0])
