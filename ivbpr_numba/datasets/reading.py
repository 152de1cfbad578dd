"""Inputs → interactions: ids become numbers block by block, bad lines are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.datasets.pairs import Pairs
from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.ids import id_text
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import REASONS, IdIndex
from ivbpr_numba.readers.rows import Reader, Rows
from ivbpr_numba.readers.time_column import ReadTimes, TimeColumn
from ivbpr_numba.readers.times import UNITS

__all__ = ["read_pairs"]

IDS_A_BLOCK = 1 << 20  # ids compared at once


@dataclass
class _Columns:
    """Numbers of the interactions read so far, in blocks."""

    users: list[np.ndarray]
    items: list[np.ndarray]
    times: list[np.ndarray]


class _Role:
    """The ids of users or of items, as one input writes them."""

    def __init__(self, name: str, index: IdIndex) -> None:
        self.name = name
        self._index = index
        self._floats_before = index.floats
        self.example = ""
        # Whether every usable id so far is text such as "17.0".
        self.all_float_text = True

    def add(self, values: list[Any]) -> np.ndarray:
        """Number the ids of one block."""
        codes = self._index.add(values)
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

    @property
    def floats(self) -> int:
        """How many ids were stored as floats."""
        return self._index.floats - self._floats_before


def _is_float_text(value: str) -> bool:
    head = value.removesuffix(".0")
    return head != value and head.isascii() and head.isdecimal()


class _Intake:
    """One input while it is read."""

    def __init__(self, reader: Reader, users: IdIndex, items: IdIndex, strict: bool) -> None:
        self.reader = reader
        self.bad = BadLines(reader.stream.name, strict, reader.unit)
        self.roles = [_Role("user", users), _Role("item", items)]
        self.used = 0
        self.times = TimeColumn(reader.compact_dates, reader.time_format)
        self._by_day: list[np.ndarray] = []
        self._by_month: list[np.ndarray] = []

    def take(self, rows: Rows, columns: _Columns) -> None:
        """Number the ids of one block and keep its good rows."""
        codes = [role.add(values) for role, values in zip(self.roles, (rows.users, rows.items))]
        good = (codes[0] >= 0) & (codes[1] >= 0)
        read = None
        if rows.times is not None:
            read = self.times.read(rows.times, rows.lines)
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
        columns.users.append(codes[0])
        columns.items.append(codes[1])
        self.used += len(codes[0])

    def _reason(self, k: int, codes: list[np.ndarray], rows: Rows, read: ReadTimes | None) -> str:
        for role, own in zip(self.roles, codes):
            if own[k] < 0:
                return f"{role.name} id {REASONS[int(own[k])]}"
        assert read is not None and rows.times is not None
        if read.readable[k]:
            return "time before 1970 or after 2099"
        return "no time" if rows.times[k] in (None, "") else "time that can't be read"

    def finish(self, columns: _Columns) -> None:
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
        day_first = self.times.day_comes_first(f"'{stream.path}'", unit)
        columns.times += self._by_day if day_first else self._by_month
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
        return "; ".join([f"{reader.source} {reader.kind}: {reader.why}", *self.times.notes(), *floats])

    def about(self) -> dict[str, Any]:
        """The record of this input."""
        reader, stream = self.reader, self.reader.stream
        return {
            "name": stream.name,
            "bytes": stream.done,
            "compression": stream.codec,
            "sha256": stream.sha256,
            "recognised": reader.source,
            "kind": reader.kind,
            "why": reader.why,
            "columns": reader.columns,
            "lines": stream.lines,
            "used": self.used,
            **{unit: self.times.units[unit] for unit in UNITS},
            "bad_lines": self.bad.rows(),
        }


def read_pairs(
    readers: Sequence[Reader], strict: bool = False, progress: Observer | None = None
) -> tuple[Pairs, list[dict[str, Any]]]:
    """Read all inputs into one set of interactions.

    In memory stay 16 bytes an interaction and the distinct ids.

    Parameters
    ----------
    readers : sequence of Reader
    strict : bool
        A bad line is an error.
    progress : callable, optional
        Called with ``{"step"}`` when an input begins and with ``{"done", "total", "lines"}`` after each
        block: bytes on disk read and in all (None when a pipe is among the inputs), lines read.

    Returns
    -------
    pairs : Pairs
        With one row of the report per input.
    inputs : list of dict
        About each input: ``name bytes compression sha256 recognised kind why columns lines used
        milliseconds microseconds nanoseconds bad_lines``.

    Raises
    ------
    DataError
        An input has no usable line, dates that may be read both ways, or dates that disagree; only some of
        the inputs have times; only some write all ids of a kind with ``.0``; or two ids differ by blanks
        around them alone.
    """
    users, items = IdIndex(), IdIndex()
    columns = _Columns([], [], [])
    intakes: list[_Intake] = []
    sizes = [reader.stream.size for reader in readers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    lines_before = 0
    for reader in readers:
        intake = _Intake(reader, users, items, strict)
        if progress is not None:
            progress({"step": f"reading {reader.stream.name}"})
        for rows in reader.read(intake.bad):
            intake.take(rows, columns)
            if progress is not None:
                done = sum(other.stream.done for other in readers)
                progress({"done": done, "total": total, "lines": lines_before + reader.stream.lines})
        intake.finish(columns)
        lines_before += reader.stream.lines
        intakes.append(intake)
    _refuse_half_timed(readers)
    _refuse_half_float(intakes)
    for what, ids in (("user", users), ("item", items)):
        _refuse_half_blank(what, ids)
    times = _joined(columns.times, np.int64) if columns.times else None
    pairs = Pairs(_joined(columns.users, np.int32), _joined(columns.items, np.int32), times, users, items)
    _note_inputs(pairs, intakes)
    return pairs, [intake.about() for intake in intakes]


def _joined(blocks: list[np.ndarray], dtype: type) -> np.ndarray:
    """Concatenate and let go of each block at once, so that a column is not held twice."""
    out: np.ndarray = np.empty(sum(map(len, blocks)), dtype)
    end = len(out)
    while blocks:
        block = blocks.pop()
        out[end - len(block) : end] = block
        end -= len(block)
    return out


def _refuse_half_timed(readers: Sequence[Reader]) -> None:
    timed = [reader.stream.name for reader in readers if "time" in reader.columns]
    untimed = [reader.stream.name for reader in readers if "time" not in reader.columns]
    if timed and untimed:
        raise DataError(
            f"'{timed[0]}' has times and '{untimed[0]}' has none.",
            f"Name its column with {parameter('time')}, or prepare them without times.",
        )


def _refuse_half_float(intakes: Sequence[_Intake]) -> None:
    """One input that writes 17.0 where another writes 17 would make two of each user or item."""
    for number, what in enumerate(("user", "item")):
        roles = [(intake.reader.stream.name, intake.roles[number]) for intake in intakes]
        floats = [entry for entry in roles if entry[1].all_float_text]
        others = [(name, role) for name, role in roles if role.example.isascii() and role.example.isdecimal()]
        if floats and others:
            raise DataError(
                f"The {what} ids of '{floats[0][0]}' all end in '.0' ('{floats[0][1].example}'), those of "
                f"'{others[0][0]}' don't ('{others[0][1].example}'): they would be different {what}s.",
                f"Write whole numbers into '{floats[0][0]}'; in pandas: astype('Int64') before to_csv.",
            )


def _refuse_half_blank(what: str, ids: IdIndex) -> None:
    """A blank after some of the commas would make two of a user or item."""
    for start in range(0, len(ids), IDS_A_BLOCK):
        written = ids.take(np.arange(start, min(start + IDS_A_BLOCK, len(ids))))
        bare = np.strings.strip(written)
        blank = np.flatnonzero(bare != written)
        twins = blank[ids.find_bytes(bare[blank]) >= 0]
        if len(twins):
            one, other = (values[twins[0]].decode() for values in (written, bare))
            raise DataError(
                f"The {what} ids {one!r} and {other!r} differ by blanks alone: they would be two {what}s.",
                "Take the blanks around ids, as after commas, out of the input.",
            )


def _note_inputs(pairs: Pairs, intakes: Sequence[_Intake]) -> None:
    end = 0
    for intake in intakes:
        end += intake.used
        # Counts of everything read so far, as every row of the report gives what is there after its step.
        so_far = Pairs(
            pairs.users[:end], pairs.items[:end], None, pairs.user_ids, pairs.item_ids, pairs.report
        )
        bad = intake.bad
        why = "; ".join(filter(None, (intake.why, bad.summary())))
        so_far.note(f"read {intake.reader.stream.name}", bad.count, why)
