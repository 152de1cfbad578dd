"""``features table``: catalogue columns become one-hot groups, multi-valued columns become tag groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.feature_layout import Group
from ivbpr_numba.datasets.features import write_features
from ivbpr_numba.datasets.tables import listing, read_table
from ivbpr_numba.errors import DataError, UsageError, did_you_mean
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["build_feature_table"]

AGGREGATES = ("error", "first", "share")
_BLOCK_BYTES = 8 << 20


@dataclass
class _Column:
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
class _Rows:
    """Whose rows they are: `item` of each row (rows,); `first` row and row `count` of each item."""

    items: Ids
    item: np.ndarray
    first: np.ndarray
    count: np.ndarray


@dataclass
class _Weights:
    """Non-zero values of one group, sorted by item: `item`, `value` (column within the group), `weight`."""

    item: np.ndarray
    value: np.ndarray
    weight: np.ndarray


def build_feature_table(
    path: PathLike,
    *,
    id_column: str,
    columns: Sequence[str] = (),
    tags: Sequence[str] = (),
    min_count: int = 1,
    aggregate: str = "error",
    out: PathLike,
) -> dict[str, Any]:
    """Turn a catalogue into a feature file of kind ``attributes``, float16.

    Parameters
    ----------
    path : path
        Any table that `tables.read_table` understands.
    id_column : str
        The column of item ids.
    columns : sequence of str
        Each becomes an exclusive group: one column per value, named ``column=value``, in the order of the
        values' UTF-8 bytes. Blanks around values are dropped.
    tags : sequence of str
        ``COLUMN`` or ``COLUMN:SEPARATOR`` (``;`` by default): the parts of a cell become a non-exclusive
        group.
    min_count : int
        Values that fewer items have get no column; their items have an all-zero row in that group.
    aggregate : str
        Where rows of one item disagree: ``error`` names them, ``first`` takes the first row, ``share``
        stores the proportion of the item's rows that have each value. Use ``share`` only for columns that
        describe the item: of a column that describes a purchase it would leak held-out purchases.
    out : path
        The feature file.

    Returns
    -------
    dict
        ``file input rows items columns merged_rows aggregate disagreeing_items items_without_values
        payload_sha256`` and ``groups``: rows ``group columns exclusive values_seen values_dropped
        items_without_value items_dropped dropped``. `items_without_value` had an empty cell,
        `items_dropped` lost their last value to `min_count`, `dropped` lists the lost values as rows
        ``value items``.

    Raises
    ------
    UsageError
        Repeated columns, nothing chosen, an unknown aggregate.
    DataError
        A column that the table has not, an empty id, rows of an item that disagree, or no value left.
    """
    if aggregate not in AGGREGATES:
        raise UsageError(f"Unknown way to aggregate '{aggregate}'.", f"Use {', '.join(AGGREGATES)}.")
    if min_count < 1:
        raise UsageError(f"Values can't be asked to occur {min_count} times.", "Give a positive number.")
    table = read_table(path)
    chosen = _choose(list(table.columns), id_column, columns, tags, path)
    rows = _rows_of(table[id_column], path)
    read = [
        _exclusive(table[name], name) if sep is None else _tagged(table[name], name, sep)
        for name, sep in chosen
    ]
    disagreeing = _disagreeing(read, rows)
    if aggregate == "error" and disagreeing:
        raise _disagreement(read, rows, disagreeing, path)
    groups: list[Group] = []
    names: list[str] = []
    kept: list[_Weights] = []
    reports = []
    for column in read:
        weights = _weigh(column, rows, share=aggregate == "share")
        weights, values, report = _drop_rare(column, weights, min_count, len(rows.items))
        reports.append(report)
        if values:
            groups.append(Group(column.name, len(names), len(values), column.exclusive))
            names += [f"{column.name}={value}" for value in values]
            kept.append(weights)
    if not names:
        raise DataError(
            f"'{path}': no value of the chosen columns is left.", "Lower --min-count or choose others."
        )
    shape = (len(rows.items), len(names))
    source = {
        "command": "features table",
        "input": os.path.basename(os.fspath(path)),
        "columns": list(columns),
        "tags": list(tags),
        "min_count": min_count,
        "aggregate": aggregate,
    }
    blocks = _blocks(kept, groups, shape)
    digest = write_features(
        out, rows.items, names, groups, "attributes", 1.0, blocks, "float16", shape, source=source
    )
    covered = np.zeros(shape[0], dtype=bool)
    for weights in kept:
        covered[weights.item] = True
    return {
        "file": os.fspath(out),
        "input": os.fspath(path),
        "rows": len(table),
        "items": shape[0],
        "columns": shape[1],
        "merged_rows": len(table) - shape[0],
        "aggregate": aggregate,
        "disagreeing_items": len(disagreeing),
        "items_without_values": int(np.count_nonzero(~covered)),
        "payload_sha256": digest,
        "groups": reports,
    }


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


def _rows_of(ids: pd.Series, path: PathLike) -> _Rows:
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
    return _Rows(Ids(values, "item"), item.reshape(-1), first, count)


def _numbered(values: set[str]) -> tuple[list[str], dict[str, int]]:
    ordered = sorted(values, key=lambda value: value.encode())
    return ordered, {value: k for k, value in enumerate(ordered)}


def _exclusive(cells: pd.Series, name: str) -> _Column:
    return _column(cells, name, True, lambda text: [text])


def _tagged(cells: pd.Series, name: str, separator: str) -> _Column:
    return _column(cells, name, False, lambda text: text.split(separator))


def _column(cells: pd.Series, name: str, exclusive: bool, split: Any) -> _Column:
    import pandas as pd

    raw, distinct = pd.factorize(cells)
    split_cells = [frozenset(part.strip() for part in split(text)) - {""} for text in distinct]
    # Cells that mean the same (other order, other blanks) get one number: rows agree when numbers do.
    meaning = {parts: k for k, parts in enumerate(dict.fromkeys(split_cells))}
    cell = np.array([meaning[parts] for parts in split_cells], dtype=np.int64)[raw]
    values, number = _numbered({part for parts in meaning for part in parts})
    numbers = [sorted(number[part] for part in parts) for parts in meaning]
    starts = np.concatenate([[0], np.cumsum([len(parts) for parts in numbers])]).astype(np.int64)
    return _Column(
        name, exclusive, cell, starts, np.fromiter(chain.from_iterable(numbers), dtype=np.int64), values
    )


def _disagreeing(columns: list[_Column], rows: _Rows) -> list[int]:
    """Items whose rows disagree in some column, ascending."""
    differs = np.zeros(len(rows.item), dtype=bool)
    for column in columns:
        differs |= column.cell != column.cell[rows.first[rows.item]]
    return np.unique(rows.item[differs]).tolist()


def _disagreement(columns: list[_Column], rows: _Rows, items: list[int], path: PathLike) -> DataError:
    listed = []
    for item in items[:5]:
        own = np.flatnonzero(rows.item == item)
        column = next(c for c in columns if len(np.unique(c.cell[own])) > 1)
        seen = [_text_of(column, cell) for cell in dict.fromkeys(column.cell[own].tolist())]
        listed.append(f"'{rows.items[item]}' ({column.name}: {' or '.join(seen[:3])})")
    more = ", …" if len(items) > len(listed) else ""
    return DataError(
        f"'{path}': {len(items):,} items have rows that disagree: {', '.join(listed)}{more}.",
        "Use --aggregate first or --aggregate share, or leave that column out.",
    )


def _text_of(column: _Column, cell: int) -> str:
    parts = column.parts[column.starts[cell] : column.starts[cell + 1]]
    return "'" + ";".join(column.values[k] for k in parts) + "'"


def _weigh(column: _Column, rows: _Rows, share: bool) -> _Weights:
    """Values of each item: from its first row with weight 1, or from all rows with their proportion."""
    used = np.arange(len(rows.item)) if share else rows.first
    cell, item = column.cell[used], rows.item[used]
    sizes = column.starts[cell + 1] - column.starts[cell]
    # For row r the positions starts[cell[r]] … + sizes[r] − 1, one after the other.
    offsets = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    value = column.parts[np.repeat(column.starts[cell], sizes) + offsets]
    width = max(1, len(column.values))
    keys, times = np.unique(np.repeat(item, sizes) * width + value, return_counts=True)
    item, value = keys // width, keys % width
    weight = times / rows.count[item] if share else np.ones(len(keys))
    return _Weights(item, value, weight.astype(np.float16))


def _drop_rare(
    column: _Column, weights: _Weights, min_count: int, items: int
) -> tuple[_Weights, list[str], dict[str, Any]]:
    """Leave out values of too few items; the weights, the values left and what to report."""
    having = np.bincount(weights.value, minlength=len(column.values))
    keep = having >= min_count
    number = np.cumsum(keep) - 1
    stays = keep[weights.value]
    left = _Weights(weights.item[stays], number[weights.value[stays]], weights.weight[stays])
    with_value, with_kept = len(np.unique(weights.item)), len(np.unique(left.item))
    report = {
        "group": column.name,
        "columns": int(keep.sum()),
        "exclusive": column.exclusive,
        "values_seen": len(column.values),
        "values_dropped": int((~keep).sum()),
        "items_without_value": items - with_value,
        "items_dropped": with_value - with_kept,
        "dropped": [
            {"value": column.values[k], "items": int(having[k])} for k in np.flatnonzero(~keep).tolist()
        ],
    }
    return left, [column.values[k] for k in np.flatnonzero(keep).tolist()], report


def _blocks(kept: list[_Weights], groups: list[Group], shape: tuple[int, int]) -> Iterator[np.ndarray]:
    step = max(1, _BLOCK_BYTES // (2 * shape[1]))
    for start in range(0, shape[0], step):
        block = np.zeros((min(step, shape[0] - start), shape[1]), dtype=np.float16)
        for weights, group in zip(kept, groups):
            low, high = np.searchsorted(weights.item, [start, start + len(block)])
            block[weights.item[low:high] - start, group.offset + weights.value[low:high]] = weights.weight[
                low:high
            ]
        yield block
