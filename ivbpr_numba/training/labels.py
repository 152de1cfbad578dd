"""What is known about the attributes of images: from a table, JSON or a list, unknown ones masked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.ids import Ids
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.readers.item_columns import Column, Rows, disagreeing, disagreement, read_columns
from ivbpr_numba.readers.text import read_text
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.training.listed import is_list, labels_of_list

__all__ = ["UNKNOWN", "Labels", "read_labels"]

UNKNOWN = -1
EXAMPLE = (
    '{"groups": [{"name": "colour", "exclusive": true}, {"name": "style", "exclusive": false}], '
    '"items": {"17": {"colour": "Black", "style": ["flared"]}, "18": {"colour": null, "style": '
    '{"flared": true, "ripped": false}}}}'
)


@dataclass(frozen=True)
class Labels:
    """Labels of items.

    Attributes
    ----------
    items : Ids
        (n,)
    vocabulary : Vocabulary
    values : list of ndarray
        For each group. Exclusive: int32 (n,), the number of the value. Tags: int8 (n, C), 1 for has, 0 for
        has not. `UNKNOWN` where nothing is known.
    report : dict
        What was read and what was left out, for people.
    by_path : bool
        Items are the paths of images.
    """

    items: Ids
    vocabulary: Vocabulary
    values: list[np.ndarray]
    report: dict[str, Any] = field(default_factory=dict)
    by_path: bool = False

    def __len__(self) -> int:
        return len(self.items)

    def known(self, group: int) -> np.ndarray:
        """Whether something is known about each item in a group, bool (n,)."""
        return _known(self.values[group])

    def counts(self, group: int, rows: np.ndarray | None = None) -> np.ndarray:
        """How many of the rows (by default all) have each value of a group, int64 (C,)."""
        values = self.values[group] if rows is None else self.values[group][rows]
        if values.ndim == 2:
            return (values == 1).sum(axis=0).astype(np.int64)
        size = len(self.vocabulary.groups[group].values)
        return np.bincount(values[values >= 0], minlength=size).astype(np.int64)

    def take(self, rows: np.ndarray) -> Labels:
        """The labels of some items; `rows` ascend."""
        items = Ids(self.items.values[rows], self.items.what)
        return Labels(items, self.vocabulary, [values[rows] for values in self.values], self.report)

    def onto(self, vocabulary: Vocabulary) -> Labels:
        """The same labels in another vocabulary: values that it lacks become unknown and are counted.

        Raises
        ------
        DataError
            A group of `vocabulary` is missing here, or exclusive in only one of them.
        """
        own = {group.name: k for k, group in enumerate(self.vocabulary.groups)}
        values, other = [], {}
        for group in vocabulary.groups:
            k = own.get(group.name)
            if k is None or self.vocabulary.groups[k].exclusive != group.exclusive:
                few = f"one value an item ({parameter('groups')})"
                kind = few if group.exclusive else f"tags ({parameter('tags')})"
                raise DataError(
                    f"The labels have no group '{group.name}' with {kind}.", "Name it as the network has it."
                )
            mine = self.vocabulary.groups[k].values
            number = {value: n for n, value in enumerate(mine)}
            if group.exclusive:
                theirs = {value: n for n, value in enumerate(group.values)}
                new = np.array([theirs.get(value, UNKNOWN) for value in mine] + [UNKNOWN], dtype=np.int32)
                values.append(new[self.values[k]])  # UNKNOWN takes the last entry
                other[group.name] = int(np.count_nonzero(self.known(k) & (values[-1] < 0)))
            else:
                # A tag that no label table knows is known to be absent where the item's tags are known.
                known = self.known(k)
                new = np.where(known[:, None], 0, UNKNOWN).astype(np.int8)
                new = np.repeat(new, len(group.values), axis=1)
                for n, value in enumerate(group.values):
                    if value in number:
                        new[:, n] = self.values[k][:, number[value]]
                values.append(new)
                lost = [number[value] for value in mine if value not in group.values]
                other[group.name] = int((self.values[k][:, lost] == 1).sum())
        return Labels(self.items, vocabulary, values, {**self.report, "other_values": other})

    def keeping(self, min_images: int, images: np.ndarray, training: np.ndarray) -> Labels:
        """Leave out values with too few images, and groups that lose all of theirs.

        Parameters
        ----------
        min_images : int
            Values that fewer images have are dropped; exclusive labels of that value become unknown.
        images : ndarray of int64, shape (n,)
            Images of each item.
        training : ndarray of bool, shape (n,)
            The items to train on: a value that none of them has is dropped as well, whatever `min_images`.

        Returns
        -------
        Labels
            Its `report` has ``groups``: rows ``group exclusive values labelled_images dropped``, the last
            being rows ``value images``.

        Raises
        ------
        DataError
            Nothing is left.
        """
        groups, values, rows = [], [], []
        for k, group in enumerate(self.vocabulary.groups):
            own = self.values[k]
            if own.ndim == 1:
                known = own >= 0
                having = np.bincount(own[known], weights=images[known], minlength=len(group.values))
            else:
                having = np.array([images[column == 1].sum() for column in own.T])
            keep = (having >= max(1, min_images)) & (self.counts(k, training) > 0)
            number = np.append(np.where(keep, np.cumsum(keep) - 1, UNKNOWN), UNKNOWN).astype(np.int32)
            kept = number[own] if own.ndim == 1 else np.ascontiguousarray(own[:, keep])
            left = tuple(value for value, stays in zip(group.values, keep) if stays)
            rows.append(
                {
                    "group": group.name,
                    "exclusive": group.exclusive,
                    "values": len(left),
                    "labelled_images": int(images[_known(kept)].sum()),
                    "dropped": [
                        {"value": value, "images": int(count)}
                        for value, count, stays in zip(group.values, having, keep)
                        if not stays
                    ],
                }
            )
            if left:
                groups.append(AttributeGroup(group.name, left, group.exclusive))
                values.append(kept)
        if not groups:
            raise DataError(
                f"No attribute has {min_images:,} images, at least one of them to train on.",
                f"Lower {parameter('min_images')} or give more images.",
            )
        report = {**self.report, "min_images": min_images, "groups": rows}
        return Labels(self.items, Vocabulary(tuple(groups)), values, report)


def read_labels(
    path: PathLike, id_column: str | None = None, groups: Sequence[str] = (), tags: Sequence[str] = ()
) -> Labels:
    """Read labels from a table, a JSON file, or a list of images.

    Parameters
    ----------
    path : path
        A table of any kind that `readers.tables.read_table` understands, a list of images as
        `readers.image_lists` describes it, or a file that ends in ``.json`` and holds one object::

            {"groups": [{"name": "colour", "exclusive": true, "values": ["Black", "White"]}, …],
             "items": {"17": {"colour": "Black", "style": ["flared"]}, …}}

        ``values`` of a group may be left out. Of tags a list names those that the item has, the others
        being absent; an object {"flared": true, "ripped": false} says nothing about the others; null or a
        missing group is unknown.
    id_column : str, optional
        Of a table: the column of item ids.
    groups : sequence of str
        Columns with one value an item; an empty cell is unknown. Of JSON and lists: the groups to use, all by
        default.
    tags : sequence of str
        ``COLUMN`` or ``COLUMN:SEPARATOR``: columns of tags; an empty cell has none of them.

    Returns
    -------
    Labels
        Values in the order of their UTF-8 bytes, or that of the JSON file.

    Raises
    ------
    UsageError
        No such file, no column chosen, or options that the kind of file doesn't know.
    DataError
        A column that is missing, rows of one item that disagree, malformed JSON, or no label at all.
    """
    if os.fspath(path).lower().endswith(".json"):
        labels = _from_json(path, [*groups, *tags])
    elif is_list(path):
        items, vocabulary, values, by_path = labels_of_list(path, [*groups, *tags])
        labels = Labels(items, vocabulary, values, by_path=by_path)
    else:
        if not id_column:
            raise UsageError(
                "The label table needs a column of item ids.", f"Name it with {parameter('id_column')}."
            )
        if not groups and not tags:
            raise UsageError(
                "No attribute was chosen.", f"Name columns with {parameter('groups')} or {parameter('tags')}."
            )
        rows, columns = read_columns(path, id_column, groups, tags)
        differing = disagreeing(columns, rows)
        if differing:
            raise disagreement(columns, rows, differing, path, "Keep one row an item, or one meaning.")
        values = [_exclusive(column, rows) if column.exclusive else _tags(column, rows) for column in columns]
        named = [AttributeGroup(column.name, tuple(column.values), column.exclusive) for column in columns]
        labels = Labels(rows.items, Vocabulary(tuple(named)), values)
    labels.report.update(file=os.path.basename(os.fspath(path)), items=len(labels))
    if not any(labels.known(k).any() for k in range(len(labels.values))):
        raise DataError(f"'{path}' has no label at all.", "Check the columns.")
    return labels


def _known(values: np.ndarray) -> np.ndarray:
    known = np.asarray(values >= 0)
    return known if known.ndim == 1 else np.asarray(known.any(axis=1))


def _exclusive(column: Column, rows: Rows) -> np.ndarray:
    """Number of the one value of each item."""
    starts = column.starts
    number = np.full(len(starts) - 1, UNKNOWN, dtype=np.int32)
    filled = np.flatnonzero(np.diff(starts))
    number[filled] = column.parts[starts[filled]]
    return number[column.cell[rows.first]]


def _tags(column: Column, rows: Rows) -> np.ndarray:
    """Which tags each item has."""
    cells = len(column.starts) - 1
    has = np.zeros((cells, len(column.values)), dtype=np.int8)
    has[np.repeat(np.arange(cells), np.diff(column.starts)), column.parts] = 1
    return has[column.cell[rows.first]]


def _from_json(path: PathLike, wanted: Sequence[str]) -> Labels:
    text = read_text(path)
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise DataError(f"'{path}' is no JSON: {problem}.", f"Write {EXAMPLE}.") from None
    try:
        listed = [(g["name"], bool(g["exclusive"]), g.get("values")) for g in document["groups"]]
        items: Mapping[str, Any] = dict(document["items"])
        if not all(isinstance(own, dict) for own in items.values()):
            raise TypeError("an item is no object")
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise DataError(f"'{path}' holds no labels ({problem}).", f"Write {EXAMPLE}.") from None
    names = [name for name, _, _ in listed]
    for name in wanted:
        if name not in names:
            raise DataError(
                f"'{path}' has no group '{name}'.",
                did_you_mean(name, names) or f"Check {parameter('groups')}.",
            )
    if not items:
        raise DataError(f"'{path}' has no items.", f"Write {EXAMPLE}.")
    ids = Ids.collect(items, "item")
    own_rows = [items[item] for item in ids.texts()]
    groups, values = [], []
    for name, exclusive, given in listed:
        if wanted and name not in wanted:
            continue
        cells = [_cell(row.get(name), exclusive, name, ids[k], path) for k, row in enumerate(own_rows)]
        seen = {value for cell in cells for value in cell or ()}
        order = sorted(seen, key=str.encode) if given is None else [str(value) for value in given]
        strange = sorted(seen - set(order))
        if strange:
            hint = did_you_mean(strange[0], order) or "List it among the group's values."
            raise DataError(f"'{path}': '{strange[0]}' is no value of '{name}'.", hint)
        if order:
            number = {value: k for k, value in enumerate(order)}
            groups.append(AttributeGroup(name, tuple(order), exclusive))
            values.append(_numbers(cells, number) if exclusive else _flags(cells, number))
    if not groups:
        raise DataError(f"'{path}' has no label at all.", f"Write {EXAMPLE}.")
    # The vocabulary's own reader knows what a vocabulary may not be.
    return Labels(ids, Vocabulary.from_json(Vocabulary(tuple(groups)).to_json(), os.fspath(path)), values)


Cell = dict[str, bool] | None  # known values of one item in one group; None where nothing is known


def _cell(raw: Any, exclusive: bool, group: str, item: str, path: PathLike) -> Cell:
    if raw is None:
        return None
    if exclusive and isinstance(raw, str):
        return {raw: True}
    if not exclusive and isinstance(raw, list) and all(isinstance(value, str) for value in raw):
        return dict.fromkeys(raw, True)
    if not exclusive and isinstance(raw, dict) and all(isinstance(value, bool) for value in raw.values()):
        return _Partial(raw)
    form = "a text" if exclusive else "a list of texts, or an object of true and false"
    raise DataError(
        f"'{path}', item '{item}': '{group}' is {json.dumps(raw)[:60]}.", f"Write {form}, or null."
    )


class _Partial(dict[str, bool]):
    """Tags of which only those named are known."""


def _numbers(cells: Sequence[Cell], number: Mapping[str, int]) -> np.ndarray:
    return np.array([number[next(iter(cell))] if cell else UNKNOWN for cell in cells], dtype=np.int32)


def _flags(cells: Sequence[Cell], number: Mapping[str, int]) -> np.ndarray:
    flags = np.full((len(cells), len(number)), UNKNOWN, dtype=np.int8)
    for row, cell in zip(flags, cells):
        if cell is None:
            continue
        if not isinstance(cell, _Partial):
            row[:] = 0
        for value, has in cell.items():
            row[number[value]] = has
    return flags
