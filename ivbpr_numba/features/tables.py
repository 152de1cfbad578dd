"""``features table``: catalogue columns become one-hot groups, multi-valued columns become tag groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import write_features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.readers.item_columns import Column, Rows, disagreeing, disagreement, read_columns
from ivbpr_numba.store.atomic import PathLike

__all__ = ["build_feature_table"]

AGGREGATES = ("error", "first", "share")
_BLOCK_BYTES = 8 << 20


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
    rows, read = read_columns(path, id_column, columns, tags)
    differing = disagreeing(read, rows)
    if aggregate == "error" and differing:
        hint = "Use --aggregate first or --aggregate share, or leave that column out."
        raise disagreement(read, rows, differing, path, hint)
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
        "rows": len(rows.item),
        "items": shape[0],
        "columns": shape[1],
        "merged_rows": len(rows.item) - shape[0],
        "aggregate": aggregate,
        "disagreeing_items": len(differing),
        "items_without_values": int(np.count_nonzero(~covered)),
        "payload_sha256": digest,
        "groups": reports,
    }


def _weigh(column: Column, rows: Rows, share: bool) -> _Weights:
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
    column: Column, weights: _Weights, min_count: int, items: int
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
