"""Any table a user may have: CSV, TSV, JSON lines, Parquet; plain, gzip or zstd; recognised by content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from ivbpr_numba.errors import DataError, did_you_mean
from ivbpr_numba.ids import id_text
from ivbpr_numba.readers import delimited, jsonl, parquet
from ivbpr_numba.readers.badlines import RECODE, BadLines
from ivbpr_numba.readers.streams import ByteStream, is_utf8
from ivbpr_numba.readers.times import day_and_month, parse_times, settle_times
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Chunk", "Table", "cell_text", "listing", "open_table", "read_table", "shown"]


class Chunk(NamedTuple):
    """Some rows: the line on which each starts, (n,) int64, and one list of n values a column."""

    lines: np.ndarray
    values: list[list[Any]]


def listing(names: Sequence[str]) -> str:
    """Names of columns for a message; long and unprintable ones shortened, at most thirty."""
    return first_of(map(shown, names), len(names), most=30)


def shown(text: str, limit: int = 40) -> str:
    """Text fit for a message, whatever a damaged file may hold."""
    return text if text.isprintable() and len(text) <= limit else repr(text[:limit])


class Table:
    """A table on disk whose format and columns are known; `chunks` may be called once.

    Attributes
    ----------
    stream : ByteStream
    kind : str
        ``CSV``, ``TSV``, ``JSON lines``, ``Parquet`` …
    columns : list of str
        Names; "1", "2", … where the file has no header.
    has_header : bool
    sample : list of list
        The first rows, for a look at them; none of Parquet, see `sampled`.
    """

    def __init__(
        self,
        stream: ByteStream,
        kind: str,
        columns: list[str],
        has_header: bool,
        sample: list[list[Any]],
        delimiter: str = "",
    ) -> None:
        self.stream = stream
        self.kind = kind
        self.columns = columns
        self.has_header = has_header
        self.sample = sample
        self._delimiter = delimiter

    @property
    def unit(self) -> str:
        """What bad lines are called here."""
        return "row" if self.kind == "Parquet" else "line"

    @property
    def listing(self) -> str:
        """Names of the columns for a message."""
        return listing(self.columns)

    def without_header(self) -> Table:
        """The same table, its first line taken as data; columns are called "1", "2", …"""
        first = [self.columns] if self.has_header else []
        names = [str(k + 1) for k in range(len(self.columns))]
        return Table(self.stream, self.kind, names, False, [*first, *self.sample], self._delimiter)

    def position(self, name: str) -> int:
        """Position of the column `name`.

        Raises
        ------
        DataError
            There is none; the hint names a near miss.
        """
        if name not in self.columns:
            hint = did_you_mean(name, self.columns) or f"It has {self.listing}."
            raise DataError(f"'{self.stream.path}' has no column '{name}'.", hint)
        return self.columns.index(name)

    def sampled(self, name: str) -> list[Any]:
        """Values of one column in the first rows."""
        position = self.position(name)
        if self.kind == "Parquet":
            return parquet.first_values(self.stream.path, name)
        return [row[position] for row in self.sample]

    def chunks(self, names: Sequence[str], bad: BadLines) -> Iterator[Chunk]:
        """Read some columns, block by block; values are text, in JSON and Parquet also numbers and None."""
        positions = [self.position(name) for name in names]
        if self.kind == "Parquet":
            self.stream.drain()
            for first, values in parquet.batches(self.stream.path, list(names)):
                n = len(values[0])
                self.stream.lines = first - 1 + n
                yield Chunk(np.arange(first, first + n), values)
        elif self.kind == "JSON lines":
            for lines, objects in jsonl.json_records(self.stream, bad):
                yield Chunk(lines, [jsonl.column(objects, name) for name in names])
        else:
            width, skip = len(self.columns), int(self.has_header)
            for lines, values in delimited.columns(self.stream, self._delimiter, width, positions, bad, skip):
                yield Chunk(lines, values)

    def strict_chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """`chunks`, where a line that can't be read is an error.

        Raises
        ------
        DataError
        """
        yield from self.chunks(names, BadLines(self.stream.name, strict=True, unit=self.unit, always=True))


def open_table(path: PathLike | ByteStream) -> Table:
    """Open a table and find out what it is.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is empty, no table, has a column name twice, or is damaged.
    EnvironmentProblem
        It may not be read, or is Parquet and pyarrow is missing.
    """
    stream = path if isinstance(path, ByteStream) else ByteStream(path)
    head = stream.head
    if head.startswith(parquet.MAGIC):
        return _open_parquet(stream)
    if not head.strip():
        raise DataError(f"'{stream.path}' is empty.", "Check how it was made.")
    if jsonl.looks_like_json(head):
        return _open_json(stream)
    delimiter = delimited.delimiter_of(head) or ","
    sample = delimited.first_records(head, delimiter)
    if not sample or head[:4096].count(b"\0") > 40:
        raise DataError(f"'{stream.path}' is no table of text.", "Give CSV, TSV, JSON lines or Parquet.")
    kind = delimited.DELIMITERS[delimiter]
    if not _is_header(sample):
        columns = [str(k + 1) for k in range(len(sample[0]))]
        return Table(stream, kind, columns, False, _same_width(sample), delimiter)
    if "\ufffd" in "".join(sample[0]) and not is_utf8(head.lstrip().split(b"\n")[0]):
        raise DataError(f"The names of the columns of '{stream.path}' are not UTF-8 (line 1).", RECODE)
    columns = [name.strip() for name in sample[0]]
    _refuse_repeated(columns, stream)
    return Table(stream, kind, columns, True, _same_width(sample)[1:], delimiter)


def _same_width(records: list[list[str]]) -> list[list[str]]:
    return [record for record in records if len(record) == len(records[0])]


def _is_header(records: list[list[str]]) -> bool:
    """Whether the first record names columns: no field of it is a number or a date."""
    fields = [field.strip() for field in records[0]]
    _, good, _ = settle_times(np.abs(parse_times(fields)))
    return not good.any() and not any(map(day_and_month, fields))


def _refuse_repeated(columns: list[str], stream: ByteStream) -> None:
    for name in columns:
        if columns.count(name) > 1:
            what = f"'{stream.path}' has the column {shown(name)} twice"
            raise DataError(f"{what}.", "Give each its own name.")


def _open_parquet(stream: ByteStream) -> Table:
    if stream.codec != "plain" or stream.size is None:
        raise DataError(f"'{stream.path}' is a Parquet file inside {stream.codec}.", "Unpack it first.")
    columns = parquet.column_names(stream.path)
    _refuse_repeated(columns, stream)
    return Table(stream, "Parquet", columns, True, [])


def _open_json(stream: ByteStream) -> Table:
    objects = jsonl.first_objects(stream.head, literal=False)
    if not objects:
        hint = "Give one JSON object a line."
        if stream.head.lstrip().startswith(b"["):
            hint = "A JSON array must become one object a line: jq -c '.[]' FILE."
        raise DataError(f"No line of '{stream.path}' is a JSON object.", hint)
    # The most frequent first: a damaged key must not come before the true one.
    columns = [name for name, _ in Counter(key for record in objects for key in record).most_common()]
    sample = [[record.get(name) for name in columns] for record in objects]
    return Table(stream, "JSON lines", columns, True, sample)


def cell_text(value: Any) -> str:
    """Text of one cell: as `ids.id_text` where that knows one, else other numbers as Python prints them, and
    JSON for what is no number. A cell that is missing is empty.
    """
    try:
        return id_text(value) or ""
    except TypeError:
        return str(value) if isinstance(value, float) else orjson.dumps(value, default=str).decode()


def read_table(path: PathLike, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a whole table, a catalogue for instance, as text.

    Parameters
    ----------
    path : path
        CSV (also with semicolons or bars), TSV, JSON lines or Parquet; plain, gzip or zstd.
    columns : sequence of str, optional
        Only these, in this order.

    Returns
    -------
    DataFrame
        One row a record, every cell a ``str``; missing cells are empty. Ids keep leading zeros.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is empty or no table, has not the columns, has one twice, or has a line that can't be read.
    EnvironmentProblem
        It may not be read, or is Parquet and pyarrow is missing.
    """
    import pandas as pd

    table = open_table(path)
    names = list(table.columns if columns is None else columns)
    read: list[list[str]] = [[] for _ in names]
    for chunk in table.strict_chunks(names):
        for whole, values in zip(read, chunk.values):
            plain = set(map(type, values)) <= {str}
            whole += values if plain else map(cell_text, values)
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in zip(names, read)})
