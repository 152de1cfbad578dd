"""The times of one column of an input, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.readers.times import MISSING, UNITS, day_and_month, parse_times, settle_times

__all__ = ["FORMS", "ReadTimes", "TimeColumn", "check_time_format"]

# What an error offers for dates that are not understood by themselves.
FORMS = "'%d/%m/%Y' (the day first) or '%m/%d/%Y' (the month first)"


class ReadTimes(NamedTuple):
    """Times of one block, both ways to read dates such as 03/04/2019.

    Attributes
    ----------
    by_day, by_month : (n,) int64 seconds
        One and the same array where no date may be read both ways.
    readable : (n,) bool
        Whether it is a time at all.
    good : (n,) bool
        Whether it lies between 1970 and 2099, too.
    """

    by_day: np.ndarray
    by_month: np.ndarray
    readable: np.ndarray
    good: np.ndarray


def check_time_format(form: str | None) -> None:
    """Refuse a form of `datetime.strptime` that can't be used or does not tell a whole date.

    Raises
    ------
    UsageError
    """
    if form is None:
        return
    moment = datetime(2019, 12, 31, tzinfo=UTC)
    try:
        found = datetime.strptime(moment.strftime(form), form).date()
    except ValueError:
        found = None
    if found != moment.date():
        raise UsageError(
            f"The time format '{form}' tells no date.", f"Write {FORMS}; %y is a year of two digits."
        )


class TimeColumn:
    """Reads the times of a column; what comes first, day or month, only its end can tell.

    Parameters
    ----------
    compact : bool
        Eight digits are a date.
    form : str, optional
        The form of all times, as in `datetime.strptime`; without a zone they are UTC.
    """

    def __init__(self, compact: bool = False, form: str | None = None) -> None:
        self.units: Counter[str] = Counter()
        self._compact = compact
        self._form = form
        # Of each kind the first one: text and line.
        self._only_by_day: tuple[str, int] | None = None
        self._only_by_month: tuple[str, int] | None = None
        self._either: tuple[str, int] | None = None

    def read(self, values: Sequence[Any], lines: np.ndarray) -> ReadTimes:
        """Read the times of some rows.

        Parameters
        ----------
        values : sequence of n
            Text, numbers, or None where there is none.
        lines : (n,) int64
            Where they stand.
        """
        known: dict[str, tuple[int, int] | None] = {}  # of this block: a column may hold millions of texts
        if self._form is not None:
            seconds = np.array([self._by_form(value, known) for value in values], dtype=np.int64)
            readable = seconds != MISSING
            _, good, _ = settle_times(np.minimum(seconds, 10**11))  # never finer units
            return ReadTimes(seconds, seconds, readable, good)
        numbers = parse_times(values, self._compact)
        by_day, good, units = settle_times(numbers)
        readable = numbers != MISSING
        self.units.update(units)
        by_month = by_day
        for k in np.flatnonzero(~readable).tolist():
            both = _swappable(values[k], known)
            if both is None:
                continue
            if by_month is by_day:
                by_day, by_month = by_day.copy(), by_day.copy()
            by_day[k], by_month[k] = both
            readable[k] = True
            good[k] = settle_times(np.array([max(both)]))[1][0]
            self._remember(both, values[k], int(lines[k]))
        return ReadTimes(by_day, by_month, readable, good)

    def join(self, after: TimeColumn, lines_before: int) -> None:
        """Take over what another one found in the lines behind those of this one.

        Parameters
        ----------
        after : TimeColumn
            It counted its lines from 1.
        lines_before : int
            Lines in front of them.
        """

        def first(own: tuple[str, int] | None, its: tuple[str, int] | None) -> tuple[str, int] | None:
            return own or (its and (its[0], its[1] + lines_before))

        self.units.update(after.units)
        self._only_by_day = first(self._only_by_day, after._only_by_day)
        self._only_by_month = first(self._only_by_month, after._only_by_month)
        self._either = first(self._either, after._either)

    def day_comes_first(self, where: str, unit: str = "line") -> bool:
        """Whether dates are to be read with the day first, after everything was read.

        Raises
        ------
        DataError
            They contradict each other, or nothing tells.
        """
        by_day, by_month, either = self._only_by_day, self._only_by_month, self._either
        hint = f"Name their form with {parameter('time_format')}, {FORMS}."
        if by_day and by_month:
            raise DataError(
                f"The dates of {where} disagree: '{by_day[0]}' ({unit} {by_day[1]}) begins with the day, "
                f"'{by_month[0]}' ({unit} {by_month[1]}) with the month.",
                f"No one form reads both, so {parameter('time_format')} would swap days and months: mend the "
                "file.",
            )
        if either and not (by_day or by_month):
            raise DataError(
                f"The dates of {where} may begin with the day or with the month: '{either[0]}' "
                f"({unit} {either[1]}), and no other date tells.",
                hint,
            )
        return by_month is None

    def notes(self) -> list[str]:
        """What to say about how the times were read."""
        said = [f"{count:,} times in {unit}" for unit in UNITS if (count := self.units[unit])]
        if self._form is not None:
            said.append(f"times in the form {self._form}")
        for first, what in ((self._only_by_day, "day"), (self._only_by_month, "month")):
            if first is not None:
                said.append(f"dates begin with the {what} ({first[0]})")
        return said

    def _by_form(self, value: Any, known: dict[str, tuple[int, int] | None]) -> int:
        if value is None or isinstance(value, bool):
            return MISSING
        text = str(value).strip()
        if text not in known:
            known[text] = _strptime(text, str(self._form))
        found = known[text]
        return MISSING if found is None else found[0]

    def _remember(self, both: tuple[int, int], text: str, line: int) -> None:
        by_day, by_month = both
        if by_month == MISSING:
            self._only_by_day = self._only_by_day or (text, line)
        elif by_day == MISSING:
            self._only_by_month = self._only_by_month or (text, line)
        elif by_day != by_month:
            self._either = self._either or (text, line)


def _swappable(value: Any, known: dict[str, tuple[int, int] | None]) -> tuple[int, int] | None:
    if not isinstance(value, str):
        return None
    if value not in known:
        known[value] = day_and_month(value)
    return known[value]


def _strptime(text: str, form: str) -> tuple[int, int] | None:
    try:
        moment = datetime.strptime(text, form)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)
    except (ValueError, OverflowError):
        return None
    return seconds, seconds
