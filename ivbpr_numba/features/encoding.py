"""Columns of items become one-hot groups, columns of tags become groups of tags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.features.layout import Group
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.readers.item_columns import Column, Rows, disagreeing, disagreement
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.sparse import joined

__all__ = ["Encoded", "check_choices", "encode"]

AGGREGATES = ("error", "first", "share")
MOST_NUMBERS = 32  # numbers that may well be names: sizes, years, codes of departments
NAMED = 5  # the first items of a drop, in reports


@dataclass
class _Weights:
    """Non-zero values of one group, sorted by item: `item`, `value` (column within the group), `weight`."""

    item: np.ndarray
    value: np.ndarray
    weight: np.ndarray


@dataclass
class Encoded:
    """One-hot groups of items before they become a matrix.

    Attributes
    ----------
    items : Ids
    names : list of str
        ``column=value``
    groups : list of Group
    report : dict
        See `tables.build_feature_table`.
    """

    items: Ids
    names: list[str]
    groups: list[Group]
    report: dict[str, Any]
    kept: list[_Weights]

    @property
    def shape(self) -> tuple[int, int]:
        """Items and columns."""
        return len(self.items), len(self.names)

    def csr(self) -> Csr:
        """The rows in order, float16."""
        item = np.concatenate([weights.item for weights in self.kept])
        column = np.concatenate(
            [group.offset + weights.value for weights, group in zip(self.kept, self.groups)]
        )
        order = np.argsort(item, kind="stable")  # groups, and values in them, are in the order of columns
        weight = np.concatenate([weights.weight for weights in self.kept])[order]
        sizes = np.bincount(item, minlength=len(self.items))
        return joined(np.concatenate([[0], np.cumsum(sizes)]), column[order], weight)


def check_choices(min_count: int, aggregate: str) -> None:
    """Refuse options that no table can satisfy, before one is read.

    Raises
    ------
    UsageError
    """
    if aggregate not in AGGREGATES:
        raise UsageError(f"Unknown way to aggregate '{aggregate}'.", f"Use {', '.join(AGGREGATES)}.")
    if min_count < 1:
        raise UsageError(f"Values can't be asked to occur {min_count} times.", "Give a positive number.")


def encode(
    rows: Rows, columns: Sequence[Column], min_count: int, aggregate: str, path: PathLike | None
) -> Encoded:
    """Turn columns of items into groups of features.

    Parameters
    ----------
    rows, columns
        As `item_columns.read_columns` gives them.
    min_count, aggregate
        See `tables.build_feature_table`.
    path : path or None
        Of the table, for messages; None for a data frame.

    Raises
    ------
    DataError
        Rows of an item disagree, or no value is left.
    """
    differing = disagreeing(list(columns), rows)
    if aggregate == "error" and differing:
        hint = (
            f"Use {parameter('aggregate', 'first')} or {parameter('aggregate', 'share')}, "
            "or leave that column out."
        )
        raise disagreement(list(columns), rows, differing, path, hint)
    groups: list[Group] = []
    names: list[str] = []
    kept: list[_Weights] = []
    reports = []
    for column in columns:
        weights = _weigh(column, rows, share=aggregate == "share")
        weights, values, report = _drop_rare(column, weights, min_count, rows.items)
        reports.append(report)
        if values:
            groups.append(Group(column.name, len(names), len(values), column.exclusive))
            names += [f"{column.name}={value}" for value in values]
            kept.append(weights)
    if not names:
        where = "The data frame" if path is None else f"'{path}'"
        raise DataError(
            f"{where}: no value of the chosen columns is left.",
            f"Lower {parameter('min_count')} or choose others.",
        )
    bare = ~np.logical_or.reduce([_having(weights, len(rows.items)) for weights in kept])
    report = {
        "rows": len(rows.item),
        "items": len(rows.items),
        "columns": len(names),
        "merged_rows": len(rows.item) - len(rows.items),
        "aggregate": aggregate,
        "disagreeing_items": len(differing),
        "first_disagreeing": [rows.items[item] for item in differing[:NAMED]],
        "items_without_values": int(np.count_nonzero(bare)),
        "first_without_values": _first(rows.items, np.flatnonzero(bare)),
        "lists_in_text": [
            {"column": column.name, "rows": column.listed, "first": column.first_listed}
            for column in columns
            if column.listed
        ],
        "groups": reports,
    }
    return Encoded(rows.items, names, groups, report, kept)


def _first(items: Ids, rows: np.ndarray) -> list[str]:
    return [items[int(row)] for row in rows[:NAMED]]


def _having(weights: _Weights, items: int) -> np.ndarray:
    """Which items have a value, bool."""
    having = np.zeros(items, dtype=bool)
    having[weights.item] = True
    return having


def _weigh(column: Column, rows: Rows, share: bool) -> _Weights:
    """Values of each item: from its first row with weight 1, or from all rows with their proportion."""
    if not share or len(rows.item) == len(rows.items):
        item, value = _entries(column, rows.first)  # a cell has each value once, ascending
        return _Weights(item, value, np.ones(len(item), np.float16))
    row, value = _entries(column, np.arange(len(rows.item)))
    width = max(1, len(column.values))
    keys, times = np.unique(rows.item[row] * width + value, return_counts=True)
    item, value = keys // width, keys % width
    return _Weights(item, value, (times / rows.count[item]).astype(np.float16))


def _entries(column: Column, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the cells of some rows hold: for each value its place in `rows` and its number, by place."""
    begin = column.starts[column.cell[rows]]
    sizes = column.starts[column.cell[rows] + 1] - begin
    # Of the k-th row the positions begin[k] … begin[k] + sizes[k] − 1, one after the other.
    shift = begin - (np.cumsum(sizes) - sizes)
    place = np.repeat(np.arange(len(rows)), sizes)
    return place, column.parts[np.arange(len(place)) + shift[place]]


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _drop_rare(
    column: Column, weights: _Weights, min_count: int, items: Ids
) -> tuple[_Weights, list[str], dict[str, Any]]:
    """Leave out values of too few items; the weights, the values left and what to report."""
    having = np.bincount(weights.value, minlength=len(column.values))
    keep = having >= min_count
    number = np.cumsum(keep) - 1
    stays = keep[weights.value]
    left = _Weights(weights.item[stays], number[weights.value[stays]], weights.weight[stays])
    with_value, with_kept = _having(weights, len(items)), _having(left, len(items))
    without_value, lost = np.flatnonzero(~with_value), np.flatnonzero(with_value & ~with_kept)
    report = {
        "group": column.name,
        "columns": int(keep.sum()),
        "exclusive": column.exclusive,
        "values_seen": len(column.values),
        "numbers": len(column.values) > MOST_NUMBERS and all(map(_is_number, column.values)),
        "values_dropped": int((~keep).sum()),
        "items_without_value": len(without_value),
        "items_dropped": len(lost),
        "first_without_value": _first(items, without_value),
        "first_items_dropped": _first(items, lost),
        "dropped": [
            {"value": column.values[k], "items": int(having[k])} for k in np.flatnonzero(~keep).tolist()
        ],
    }
    return left, [column.values[k] for k in np.flatnonzero(keep).tolist()], report
