"""Columns of a catalogue as values of its items: one value an item, or tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.readers.tables import listing, read_table
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Rows", "disagreeing", "disagreement", "read_columns"]


@dataclass
class Column:
    """One catalogue column after reading.

    `cell` numbers the distinct cells by row of the table; cell c holds the values
    ``parts[starts[c]:starts[c + 1]]``, numbers into `values`, which are sorted by their UTF-8 bytes.
    """

    name: str
    exclusive: bool
    cell: np.ndarray
    starts: np.ndarray
    parts: np.ndarray
    values: list[str]


@dataclass
class Rows:
    """Whose rows they are: `item` of each row (rows,); `first` row and row `count` of each item."""

    items: Ids
    item: np.ndarray
    first: np.ndarray
    count: np.ndarray


def read_columns(
    path: PathLike, id_column: str, columns: Sequence[str], tags: Sequence[str]
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
    tags : sequence of str
        ``COLUMN`` or ``COLUMN:SEPARATOR`` (``;`` by default): columns with any number of values.

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
        A column that the table has not, no rows, or an empty id.
    """
    table = read_table(path)
    chosen = _choose(list(table.columns), id_column, columns, tags, path)
    rows = _rows_of(table[id_column], path)
    return rows, [
        _exclusive(table[name], name) if sep is None else _tagged(table[name], name, sep)
        for name, sep in chosen
    ]


def _choose(
    known: list[str], id_column: str, columns: Sequence[str], tags: Sequence[str], path: PathLike
) -> list[tuple[str, str | None]]:
    """Check the names against the table; pairs of column and separator (None for an exclusive group)."""
    chosen: list[tuple[str, str | None]] = [(name, None) for name in columns]
    for tag in tags:
        # A column name may hold a colon, and so may a separator: the longest known name wins.
        heads = [tag[:k] for k in range(len(tag), 0, -1) if k == len(tag) or tag[k] == ":"]
        name = next((head for head in heads if head in known), heads[-1])
        separator = tag[len(name) + 1 :].replace("\\t", "\t")
        if len(name) < len(tag) and not separator:
            raise UsageError(
                f"'{tag}' names no separator after the colon.", f"Write {name}:; or {name} alone."
            )
        chosen.append((name, separator or ";"))
    if not chosen:
        raise UsageError("No column was chosen.", "Name some with --columns or --tags.")
    for name in (id_column, *(name for name, _ in chosen)):
        if name not in known:
            hint = did_you_mean(name, known) or f"It has {listing(known)}."
            raise DataError(f"'{path}' has no column '{name}'.", hint)
    names = [name for name, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The column '{name}' was chosen twice.", "Name it once.")
    return chosen


def _rows_of(ids: pd.Series, path: PathLike) -> Rows:
    if len(ids) == 0:
        raise DataError(f"'{path}' has no rows.", "Check how it was made.")
    empty = np.flatnonzero((ids == "").to_numpy())
    if len(empty):
        raise DataError(
            f"'{path}': {len(empty):,} rows have no {ids.name}, the first is data row {empty[0] + 1:,}.",
            "Give every row an id.",
        )
    encoded = encode_ids(ids.tolist())
    values, first, item, count = np.unique(
        encoded, return_index=True, return_inverse=True, return_counts=True
    )
    return Rows(Ids(values, "item"), item.reshape(-1), first, count)


def _numbered(values: set[str]) -> tuple[list[str], dict[str, int]]:
    ordered = sorted(values, key=lambda value: value.encode())
    return ordered, {value: k for k, value in enumerate(ordered)}


def _exclusive(cells: pd.Series, name: str) -> Column:
    return _column(cells, name, True, lambda text: [text])


def _tagged(cells: pd.Series, name: str, separator: str) -> Column:
    return _column(cells, name, False, lambda text: text.split(separator))


def _column(cells: pd.Series, name: str, exclusive: bool, split: Any) -> Column:
    import pandas as pd

    raw, distinct = pd.factorize(cells)
    split_cells = [frozenset(part.strip() for part in split(text)) - {""} for text in distinct]
    # Cells that mean the same (other order, other blanks) get one number: rows agree when numbers do.
    meaning = {parts: k for k, parts in enumerate(dict.fromkeys(split_cells))}
    cell = np.array([meaning[parts] for parts in split_cells], dtype=np.int64)[raw]
    values, number = _numbered({part for parts in meaning for part in parts})
    numbers = [sorted(number[part] for part in parts) for parts in meaning]
    starts = np.concatenate([[0], np.cumsum([len(parts) for parts in numbers])]).astype(np.int64)
    return Column(
        name, exclusive, cell, starts, np.fromiter(chain.from_iterable(numbers), dtype=np.int64), values
    )


def disagreeing(columns: list[Column], rows: Rows) -> list[int]:
    """Items whose rows disagree in some column, ascending."""
    differs = np.zeros(len(rows.item), dtype=bool)
    for column in columns:
        differs |= column.cell != column.cell[rows.first[rows.item]]
    return np.unique(rows.item[differs]).tolist()


def disagreement(columns: list[Column], rows: Rows, items: list[int], path: PathLike, hint: str) -> DataError:
    """The error that names the first of these `items` and what their rows say."""
    listed = []
    for item in items[:5]:
        own = np.flatnonzero(rows.item == item)
        column = next(c for c in columns if len(np.unique(c.cell[own])) > 1)
        seen = [_text_of(column, cell) for cell in dict.fromkeys(column.cell[own].tolist())]
        listed.append(f"'{rows.items[item]}' ({column.name}: {' or '.join(seen[:3])})")
    more = ", …" if len(items) > len(listed) else ""
    return DataError(
        f"'{path}': {len(items):,} items have rows that disagree: {', '.join(listed)}{more}.",
        hint,
    )


def _text_of(column: Column, cell: int) -> str:
    parts = column.parts[column.starts[cell] : column.starts[cell + 1]]
    return "'" + ";".join(column.values[k] for k in parts) + "'"
