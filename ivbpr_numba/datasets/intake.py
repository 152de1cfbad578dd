"""What one input gives: ids become numbers block by block, bad lines are counted, parts of it are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.ids import id_text
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import REASONS, IdIndex
from ivbpr_numba.readers.rows import Reader, Rows
from ivbpr_numba.readers.time_column import ReadTimes, TimeColumn
from ivbpr_numba.readers.times import UNITS

__all__ = ["Intake", "Part"]


@dataclass(frozen=True)
class _Ids:
    """Ids of a part: as text in the order in which they came, and how they are written; see `Role`."""

    text: bytes
    count: int
    floats: int
    example: str
    all_float_text: bool


@dataclass(frozen=True)
class Part:
    """What a span of an input, or all of it, gave to an index of its own.

    Attributes
    ----------
    ids : tuple of two
        Users and items, in the order in which they came.
    codes : (2, n) int32
        Their numbers among them.
    times : tuple of (n,) int64, or None
        With the day first, with the month first; the latter None where it is the same.
    """

    ids: tuple[_Ids, _Ids]
    codes: np.ndarray
    times: tuple[np.ndarray, np.ndarray | None] | None
    column: TimeColumn
    bad: BadLines
    lines: int
    bytes: int
    sha256: str
    crc: int


class Role:
    """The ids of users or of items, as one input writes them."""

    def __init__(self, name: str, index: IdIndex) -> None:
        self.name = name
        self._index = index
        self.floats = 0  # ids that were stored as floats
        self.example = ""
        # Whether every usable id so far is text such as "17.0".
        self.all_float_text = True

    def add(self, values: list[Any]) -> np.ndarray:
        """Number the ids of one block."""
        floats_before = self._index.floats
        codes = self._index.add(values)
        self.floats += self._index.floats - floats_before
        if self.all_float_text:
            for value, code in zip(values, codes.tolist()):
                if code < 0:
                    continue
                self.all_float_text = isinstance(value, str) and _is_float_text(value)
                if not self.example or not self.all_float_text:
                    self.example = id_text(value) or ""
                if not self.all_float_text:
                    break
        return codes

    def join(self, ids: _Ids, codes: np.ndarray) -> np.ndarray:
        """Number the ids of the next part; what its own numbers are here."""
        own = self._index.add_text(ids.text, ids.count)
        self.floats += ids.floats
        if self.all_float_text and ids.example:
            self.all_float_text = ids.all_float_text
            if not self.example or not self.all_float_text:
                self.example = ids.example
        return own[codes]

    def packed(self) -> _Ids:
        """All that the index holds."""
        return _Ids(self._index.text(), len(self._index), self.floats, self.example, self.all_float_text)


def _is_float_text(value: str) -> bool:
    head = value.removesuffix(".0")
    return head != value and head.isascii() and head.isdecimal()


class Intake:
    """One input while it is read.

    Attributes
    ----------
    users, items, times : lists of arrays
        Codes and seconds of the usable lines, in blocks; the times are there after `finish`.
    lines, bytes : int
        Read so far.
    sha256 : str
        Of the file, after its end.
    """

    def __init__(self, reader: Reader, users: IdIndex, items: IdIndex, strict: bool) -> None:
        self.reader = reader
        self.bad = BadLines(reader.stream.name, strict, reader.unit)
        self.roles = (Role("user", users), Role("item", items))
        self.used = self.lines = self.bytes = 0
        self.sha256 = ""
        self.users: list[np.ndarray] = []
        self.items: list[np.ndarray] = []
        self.times: list[np.ndarray] = []
        self._column = TimeColumn(reader.compact_dates, reader.time_format)
        self._by_day: list[np.ndarray] = []
        self._by_month: list[np.ndarray] = []

    def take(self, rows: Rows) -> None:
        """Number the ids of one block and keep its good rows."""
        codes = [role.add(values) for role, values in zip(self.roles, (rows.users, rows.items))]
        good = (codes[0] >= 0) & (codes[1] >= 0)
        read = None
        if rows.times is not None:
            read = self._column.read(rows.times, rows.lines)
            good &= read.good
        if not good.all():
            for k in np.flatnonzero(~good).tolist():
                self.bad.add(int(rows.lines[k]), self._reason(k, codes, rows, read))
            codes = [own[good] for own in codes]
        if read is not None:
            # One array twice where no date may be read both ways.
            by_day = read.by_day if good.all() else read.by_day[good]
            self._by_day.append(by_day)
            self._by_month.append(by_day if read.by_month is read.by_day else read.by_month[good])
        self.users.append(codes[0])
        self.items.append(codes[1])
        self.used += len(codes[0])
        self.lines, self.bytes = self.reader.stream.lines, self.reader.stream.done

    def _reason(self, k: int, codes: list[np.ndarray], rows: Rows, read: ReadTimes | None) -> str:
        for role, own in zip(self.roles, codes):
            if own[k] < 0:
                return f"{role.name} id {REASONS[int(own[k])]}"
        assert read is not None and rows.times is not None
        if read.readable[k]:
            return "time before 1970 or after 2099"
        return "no time" if rows.times[k] in (None, "") else "time that can't be read"

    def end(self) -> None:
        """Note what the stream tells at its end."""
        stream = self.reader.stream
        self.lines, self.bytes, self.sha256 = stream.lines, stream.done, stream.sha256

    def packed(self) -> Part:
        """Everything, for `join` somewhere else; its ids were numbered by indexes of its own."""
        times = None
        if self._by_day:
            same = all(one is other for one, other in zip(self._by_day, self._by_month))
            by_day = np.concatenate(self._by_day)
            times = by_day, None if same else np.concatenate(self._by_month)
        codes = [np.concatenate([np.zeros(0, np.int32), *own]) for own in (self.users, self.items)]
        return Part(
            (self.roles[0].packed(), self.roles[1].packed()),
            np.stack(codes),
            times,
            self._column,
            self.bad,
            self.lines,
            self.bytes,
            self.sha256,
            self.reader.stream.crc,
        )

    def join(self, part: Part) -> None:
        """Take what comes behind everything so far."""
        for role, own, ids, codes in zip(self.roles, (self.users, self.items), part.ids, part.codes):
            own.append(role.join(ids, codes))
        if part.times is not None:
            by_day, by_month = part.times
            self._by_day.append(by_day)
            self._by_month.append(by_day if by_month is None else by_month)
        self._column.join(part.column, self.lines)
        self.bad.join(part.bad, self.lines)
        self.used += part.codes.shape[1]
        self.lines += part.lines
        self.bytes += part.bytes
        self.sha256 = part.sha256

    def finish(self) -> None:
        """Settle what only the end of an input tells.

        Raises
        ------
        DataError
            There is no usable line, or no way to tell days from months.
        """
        stream, unit = self.reader.stream, self.reader.unit
        if not self.used:
            raise DataError(
                f"'{stream.path}' has no usable {unit}{': ' if self.bad.count else ''}{self.bad.summary()}.",
                self.bad.advice or f"Check the format, the columns, or name it with {parameter('source')}.",
            )
        day_first = self._column.day_comes_first(f"'{stream.path}'", unit)
        self.times = self._by_day if day_first else self._by_month
        self._by_day, self._by_month = [], []

    @property
    def why(self) -> str:
        """What was recognised, and what was read in a way that is not plain."""
        reader = self.reader
        floats = [
            f"{role.floats:,} {role.name} ids stored as floats, read as whole numbers"
            for role in self.roles
            if role.floats
        ]
        return "; ".join([f"{reader.source} {reader.kind}: {reader.why}", *self._column.notes(), *floats])

    def about(self) -> dict[str, Any]:
        """The record of this input."""
        reader, stream = self.reader, self.reader.stream
        return {
            "name": stream.name,
            "bytes": self.bytes,
            "compression": stream.codec,
            "sha256": self.sha256,
            "recognised": reader.source,
            "kind": reader.kind,
            "why": reader.why,
            "columns": reader.columns,
            "lines": self.lines,
            "used": self.used,
            **{unit: self._column.units[unit] for unit in UNITS},
            "bad_lines": self.bad.rows(),
        }
