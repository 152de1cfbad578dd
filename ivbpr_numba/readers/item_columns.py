"""Columns of a table of items, in a file or a data frame, as values of its items: one an item, or tags."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.readers.cells import Parts, id_text, key_of, list_in_text, looks_written, parts_in
from ivbpr_numba.readers.tables import listing, open_table
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Rows", "Tags", "columns_of_frame", "disagreeing", "disagreement", "read_columns"]

SEPARATOR = ";"
# Columns of tags: names, with the separator after a colon where it is another than ";", or by name.
Tags = Sequence[str] | Mapping[str, str | None]


@dataclass
class Column:
    """One catalogue column after reading.

    `cell` numbers the distinct cells by row of the table; cell c holds the values
    ``parts[starts[c]:starts[c + 1]]``, numbers into `values`, which are sorted by their UTF-8 bytes.
    `listed` rows hold the text of a list, such as that of `first_listed`.
    """

    name: str
    exclusive: bool
    cell: np.ndarray
    starts: np.ndarray
    parts: np.ndarray
    values: list[str]
    listed: int = 0
    first_listed: str = ""


@dataclass
class Rows:
    """Whose rows they are: `item` of each row (rows,); `first` row and row `count` of each item."""

    items: Ids
    item: np.ndarray
    first: np.ndarray
    count: np.ndarray


@dataclass
class _Place:
    """Where a table is and how its rows are called, for messages."""

    table: str
    row: Callable[[int], str]

    def __str__(self) -> str:
        return self.table


def read_columns(
    path: PathLike, id_column: str, columns: Sequence[str], tags: Tags
) -> tuple[Rows, list[Column]]:
    """Read columns of a table of items.

    Parameters
    ----------
    path : path
        Any table that `tables.read_table` understands.
    id_column : str
        The column of item ids.
    columns : sequence of str
        Columns with one value an item. Blanks around values are dropped; an empty cell has none.
    tags : sequence of str, or mapping
        Columns with any number of values: ``COLUMN`` or ``COLUMN:SEPARATOR`` (``;`` by default), or names
        with their separators. A list (JSON lines, Parquet), or the text of a plain list, holds the values
        itself.

    Returns
    -------
    rows : Rows
    columns : list of Column
        `columns`, then `tags`.

    Raises
    ------
    UsageError
        Repeated columns or nothing chosen.
    DataError
        A column that the table has not, no rows, an unusable id, several values in a column of one, or a cell
        that is no plain value.
    """
    table = open_table(path)
    chosen = _choose(table.columns, id_column, columns, tags, f"'{path}'")
    names = list(dict.fromkeys([id_column, *(name for name, _ in chosen)]))
    lines: list[np.ndarray] = []
    cells: list[list[Any]] = [[] for _ in names]
    for chunk in table.strict_chunks(names):
        lines.append(chunk.lines)
        for whole, values in zip(cells, chunk.values):
            whole += values
    numbers = np.concatenate(lines) if lines else np.zeros(0, np.int64)
    place = _Place(f"'{path}'", lambda row: f"{table.unit} {numbers[row]:,}")
    return _columns(dict(zip(names, cells)), id_column, chosen, place)


def columns_of_frame(
    frame: pd.DataFrame, id_column: object, columns: Sequence[str], tags: Tags
) -> tuple[Rows, list[Column]]:
    """The same of a data frame; cells of tags may be lists, sets, arrays, or text with separators."""
    labels: dict[str, Any] = {}
    for label in frame.columns:
        if str(label) in labels:
            raise DataError(f"The data frame has the column '{label}' twice.", "Give each its own name.")
        labels[str(label)] = label
    id_name = str(id_column)
    chosen = _choose(list(labels), id_name, columns, tags, "The data frame")
    cells = {name: frame[labels[name]].tolist() for name in (id_name, *(name for name, _ in chosen))}
    return _columns(cells, id_name, chosen, _Place("The data frame", lambda row: f"row {row + 1:,}"))


def _choose(
    known: list[str], id_column: str, columns: Sequence[str], tags: Tags, where: str
) -> list[tuple[str, str | None]]:
    """Check the names against the table; pairs of column and separator (None for an exclusive group)."""
    columns = expected.names("columns", columns)
    tags = tags if isinstance(tags, Mapping) else expected.names("tags", tags)
    chosen: list[tuple[str, str | None]] = [(str(name), None) for name in columns]
    if isinstance(tags, Mapping):
        for name, separator in tags.items():
            if separator == "":
                raise UsageError(f"The tags '{name}' have no separator.", "Give one, or None for ';'.")
            chosen.append((str(name), separator or SEPARATOR))
    else:
        chosen += [_split_tag(str(tag), known) for tag in tags]
    if not chosen:
        raise UsageError(
            "No column was chosen.", f"Name some with {parameter('columns')} or {parameter('tags')}."
        )
    for name in (id_column, *(name for name, _ in chosen)):
        if name not in known:
            hint = did_you_mean(name, known) or f"It has {listing(known)}."
            raise DataError(f"{where} has no column '{name}'.", hint)
    names = [name for name, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The column '{name}' was chosen twice.", "Name it once.")
    return chosen


def _split_tag(tag: str, known: list[str]) -> tuple[str, str]:
    """Column and separator of ``COLUMN[:SEPARATOR]``."""
    # A column name may hold a colon, and so may a separator: the longest known name wins.
    heads = [tag[:k] for k in range(len(tag), 0, -1) if k == len(tag) or tag[k] == ":"]
    name = next((head for head in heads if head in known), heads[-1] if heads else tag)
    separator = tag[len(name) + 1 :].replace("\\t", "\t")
    if len(name) < len(tag) and not separator:
        raise UsageError(f"'{tag}' names no separator after the colon.", f"Write {name}:; or {name} alone.")
    return name, separator or SEPARATOR


def _columns(
    cells: dict[str, list[Any]], id_name: str, chosen: list[tuple[str, str | None]], place: _Place
) -> tuple[Rows, list[Column]]:
    rows = _rows_of(cells[id_name], id_name, place)
    return rows, [_column(cells[name], name, separator, place) for name, separator in chosen]


def _rows_of(ids: list[Any], id_name: str, place: _Place) -> Rows:
    if not ids:
        raise DataError(f"{place} has no rows.", "Check how it was made.")
    texts = _encoded(ids, id_name, place)
    empty = [row for row, text in enumerate(texts) if not text]
    if empty:
        raise DataError(
            f"{place}: {len(empty):,} rows have no {id_name}, the first is data row {empty[0] + 1:,}.",
            "Give every row an id.",
        )
    values, first, item, count = np.unique(
        encode_ids(texts), return_index=True, return_inverse=True, return_counts=True
    )
    return Rows(Ids(values, "item"), item.reshape(-1), first, count)


def _encoded(ids: list[Any], id_name: str, place: _Place) -> list[bytes]:
    """The ids in UTF-8, empty where there is none."""
    if set(map(type, ids)) <= {str}:
        with contextlib.suppress(UnicodeEncodeError):  # the way below tells where
            return [text.encode() for text in ids]
    encoded = []
    for row, value in enumerate(ids):
        try:
            encoded.append(id_text(value).encode())
        except ValueError as problem:
            raise DataError(
                f"{place}, {place.row(row)}: the {id_name} is {problem}.",
                "Store ids as text or whole numbers.",
            ) from None
    return encoded


def _column(cells: list[Any], name: str, separator: str | None, place: _Place) -> Column:
    """Number the cells by what they say; `separator` is None for a column with one value an item."""
    keys, problem = _keys(cells)
    first: defaultdict[str | Parts, int] = defaultdict(count().__next__)  # each distinct cell, and its number
    raw = np.fromiter(map(first.__getitem__, keys), np.int64, len(keys))
    split_cells: list[frozenset[str]] = []
    listed: list[bool] = []
    for key in first:
        try:
            parts, from_text = _one(key) if separator is None else parts_in(key, separator)
        except ValueError as found:
            raise _unusable(cells, keys.index(key), name, separator is None, found, place) from None
        split_cells.append(frozenset(part.strip() for part in parts) - {""})
        listed.append(from_text)
    if problem is not None:
        raise _unusable(cells, len(keys), name, separator is None, problem, place)
    # Cells that mean the same (other order, other blanks) get one number: rows agree when numbers do.
    meaning = {parts: k for k, parts in enumerate(dict.fromkeys(split_cells))}
    cell = np.array([meaning[parts] for parts in split_cells], dtype=np.int64)[raw]
    values, of_value = _numbered({part for parts in meaning for part in parts})
    numbers = [sorted(of_value[part] for part in parts) for parts in meaning]
    starts = np.concatenate([[0], np.cumsum([len(parts) for parts in numbers])]).astype(np.int64)
    parts_of_cells = np.fromiter(chain.from_iterable(numbers), dtype=np.int64)
    in_text = np.array(listed, dtype=bool)[raw]
    shown = str(cells[int(np.argmax(in_text))]) if in_text.any() else ""
    return Column(
        name, separator is None, cell, starts, parts_of_cells, values, int(np.count_nonzero(in_text)), shown
    )


def _keys(cells: list[Any]) -> tuple[list[str | Parts], ValueError | None]:
    """What the cells say; those before the first that can't be read, and what is wrong with that one."""
    if set(map(type, cells)) <= {str}:
        return cells, None
    keys: list[str | Parts] = []
    for value in cells:
        try:
            keys.append(key_of(value))
        except ValueError as problem:
            return keys, problem
    return keys, None


def _unusable(
    cells: list[Any], row: int, name: str, exclusive: bool, problem: ValueError, place: _Place
) -> DataError:
    """The error that tells which cell can't be read, and why."""
    hint = (
        f"A column with several values an item is one of tags: name it with {parameter('tags')}."
        if exclusive and str(problem).startswith("a list")
        else 'Give texts or numbers, or lists of them such as ["red", "big"].'
    )
    text = str(cells[row]) if len(str(cells[row])) <= 60 else str(cells[row])[:60] + "…"
    return DataError(
        f"{place}, {place.row(row)}: the cell {text!r} of the column '{name}' is {problem}.", hint
    )


def _one(key: str | Parts) -> tuple[Parts, bool]:
    """The one value of a cell.

    Raises
    ------
    ValueError
        The cell is a list, or the text of one.
    """
    try:
        listed = key if not isinstance(key, str) else list_in_text(key)
    except ValueError:
        if looks_written(str(key)):
            raise
        listed = None  # text in brackets, such as [new], is a value like any other
    if listed is not None:
        raise ValueError("a list, not one value")
    return (str(key),), False


def _numbered(values: set[str]) -> tuple[list[str], dict[str, int]]:
    ordered = sorted(values, key=lambda value: value.encode())
    return ordered, {value: k for k, value in enumerate(ordered)}


def disagreeing(columns: list[Column], rows: Rows) -> list[int]:
    """Items whose rows disagree in some column, ascending."""
    if len(rows.item) == len(rows.items):
        return []
    first = rows.first[rows.item]
    differs = np.zeros(len(rows.items), dtype=bool)
    for column in columns:
        differs[rows.item[column.cell != column.cell[first]]] = True
    return np.flatnonzero(differs).tolist()


def disagreement(
    columns: list[Column], rows: Rows, items: list[int], path: PathLike | None, hint: str
) -> DataError:
    """The error that names the first of these `items` and what their rows say; `path` is None for a frame."""
    listed = []
    for item in items[:5]:
        own = np.flatnonzero(rows.item == item)
        column = next(c for c in columns if len(np.unique(c.cell[own])) > 1)
        seen = [_text_of(column, cell) for cell in dict.fromkeys(column.cell[own].tolist())]
        listed.append(f"'{rows.items[item]}' ({column.name}: {' or '.join(seen[:3])})")
    where = "The data frame" if path is None else f"'{path}'"
    return DataError(
        f"{where}: {len(items):,} items have rows that disagree: {first_of(listed, len(items))}.",
        hint,
    )


def _text_of(column: Column, cell: int) -> str:
    parts = column.parts[column.starts[cell] : column.starts[cell + 1]]
    return "'" + ";".join(column.values[k] for k in parts) + "'"
