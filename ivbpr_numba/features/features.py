"""Feature files: one row of values per item, named columns, column groups."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.layout import (
    DTYPES,
    FORMAT,
    PAYLOAD,
    Columns,
    Group,
    check_finite,
    default_groups,
    feature_tree,
    layout_from,
    sort_distinct,
)
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.files import refuse_changed
from ivbpr_numba.store.matrix import (
    MATRIX,
    MappedMatrix,
    MatrixSink,
    as_digested,
    digest_blocks,
    open_matrix,
    rows_per_block,
    writing_matrix,
)
from ivbpr_numba.store.tree import Tree, entries_of

__all__ = ["FeatureSink", "Features", "Group", "describe", "examples", "features_sink", "write_features"]


class Features:
    """Features of items; made by `read` from a file or by `from_arrays`.

    Attributes
    ----------
    items : Ids
        Item ids, sorted by their UTF-8 bytes; one row each.
    matrix : ndarray (I, F)
        Stored values: float16, float32 or uint8, read-only; a memory map when read from a file.
    scale : float
        value = stored × scale.
    names : list of str
        Column names, ``column=value`` for attributes.
    groups : list of Group
        They cover all columns in order.
    kind : str
        ``dense`` or ``attributes``.
    payload_sha256 : str
        Digest of all of the above.
    path : str or None
        The file, None in memory.
    attrs : dict
        Further root attributes (``network_sha256``).
    source : dict
        Where the features come from, as the writer recorded it.
    """

    def __init__(
        self,
        items: Ids,
        mapped: MappedMatrix,
        scale: float,
        names: list[str],
        groups: list[Group],
        kind: str,
        payload_sha256: str,
        path: str | None = None,
        attrs: dict[str, Any] | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        self.items = items
        self.matrix = mapped.values
        self.scale = scale
        self.names = names
        self.groups = groups
        self.kind = kind
        self.payload_sha256 = payload_sha256
        self.path = path
        self.attrs = attrs or {}
        self.source = source or {}
        self._mapped = mapped

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        rows, columns = self.matrix.shape
        return f"Features({rows:,} items × {columns:,} columns, {self.kind}, {self.matrix.dtype})"

    @classmethod
    def read(cls, path: PathLike) -> Features:
        """Open a feature file; the matrix stays on disk.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            Not a feature file, cut short, of a newer major version, or changed since it was written.
        """
        sealed, mapped = open_matrix(path, FORMAT)
        refuse_changed(path, sealed.changed)
        layout = layout_from(Tree(FORMAT, sealed.objects, sealed.attrs), mapped.values.shape, path)
        return cls(mapped=mapped, path=os.fspath(path), **layout)

    @classmethod
    def from_arrays(
        cls,
        items: Ids | Iterable[object],
        matrix: np.ndarray,
        names: Sequence[str] | None = None,
        groups: Sequence[Group] | None = None,
        kind: str = "dense",
        scale: float = 1.0,
    ) -> Features:
        """Make features in memory.

        Parameters
        ----------
        items : Ids or iterable of ids
            One per row, in any order; rows are sorted by id.
        matrix : array (I, F)
            Values before `scale`. float16, float32 and uint8 are kept, other types become float32.
        names : sequence of str, optional
            Column names; numbers by default.
        groups : sequence of Group, optional
            By default one group of all columns, or, for attributes named ``column=value``, a group for each
            run of equal columns, exclusive where no row sums to more than 1.
        kind : str
            ``dense`` or ``attributes``.
        scale : float
            value = stored × scale.

        Raises
        ------
        DataError
            Ids repeat, shapes disagree, or a value is NaN or infinite.
        """
        values = np.asarray(matrix)
        if values.dtype.name not in DTYPES:
            values = values.astype(np.float32)
        if values.ndim != 2:
            raise DataError(f"The feature matrix has {values.ndim} dimensions, not 2.", "One row an item.")
        if not isinstance(items, Ids):
            encoded = encode_ids(items)
            if len(encoded) != len(values):
                raise DataError(
                    f"{len(encoded):,} ids for {len(values):,} rows of features.", "One id a row."
                )
            order = sort_distinct(encoded, "The features")
            items, values = Ids(encoded[order], "item"), values[order]
        values = np.array(values, dtype=values.dtype.newbyteorder("<"), order="C")
        values.flags.writeable = False
        names = [str(k) for k in range(values.shape[1])] if names is None else list(names)
        if groups is None:
            groups = default_groups(names, values, kind, scale)
        tree = feature_tree(items, names, groups, kind, scale, values.shape, values.dtype)
        check_finite(values, items, names)
        digests = digest_blocks(values)
        entries = entries_of(tree.objects, tree.attrs)
        whole = {**entries, MATRIX: as_digested(values.shape, values.dtype, digests)}
        digest = digest_objects({name: whole[name] for name in PAYLOAD})
        mapped = MappedMatrix(values, digests, "(features in memory)")
        return cls(items, mapped, float(scale), names, list(groups), kind, digest)

    def write(self, path: PathLike) -> str:
        """Write a feature file (see `write_features`) and return its ``payload_sha256``."""
        blocks = (self.take(rows) for rows in row_blocks(self.matrix))
        return write_features(
            path, self.items, self.names, self.groups, self.kind, self.scale, blocks, self.matrix.dtype,
            self.matrix.shape, attrs=self.attrs, source=self.source,
        )  # fmt: skip

    def rows(self, item_ids: Ids) -> np.ndarray:
        """Row of each item, int64, −1 where the file has none."""
        return self.items.find(item_ids.values)

    def rows_of_all(self, item_ids: Ids) -> np.ndarray:
        """Row of each item, (n,) int64.

        Raises
        ------
        DataError
            The file lacks some of them.
        """
        if np.array_equal(self.items.values, item_ids.values):
            return np.arange(len(item_ids))
        rows = self.rows(item_ids)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise DataError(
                f"{len(missing):,} of {len(item_ids):,} items have no row in the features "
                f"{self.path or '(in memory)'}, the first is '{item_ids[int(missing[0])]}'.",
                "Prepare the dataset with --features so that it keeps covered items only.",
            )
        return rows

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows, (n, F) contiguous; their blocks are checked when first touched.

        Raises
        ------
        DataError
            A block differs from its digest.
        """
        rows = np.asarray(rows)
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self.matrix)):
            raise DataError("Features were asked for an item that has none.", "Check rows() for −1 first.")
        self._mapped.check(rows)
        return self.matrix[rows]

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Values of rows, (n, F) float32: stored × scale."""
        return self.take(rows).astype(np.float32) * np.float32(self.scale)

    def column(self, name: str) -> int:
        """Column number of a feature: its full name, or its value where that is unique.

        Raises
        ------
        UsageError
            Unknown or ambiguous; the hint names near misses or the candidates.
        """
        return self._columns.find(name)

    @cached_property
    def _columns(self) -> Columns:
        return Columns(self.names, self.groups)


def write_features(
    path: PathLike,
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    blocks: Iterable[np.ndarray],
    dtype: np.dtype | str,
    shape: tuple[int, int],
    *,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
    keep_lock: Lock | None = None,
) -> str:
    """Write a feature file from blocks of rows in the order of the ids.

    Parameters
    ----------
    path : path
        Target, in an existing folder.
    items : Ids
        Item ids by row.
    names, groups, kind, scale
        As in `Features`.
    blocks : iterable of ndarray (n, F)
        Stored values, together `shape`; never more than one block is held.
    dtype : dtype
        float16, float32 or uint8; the blocks have it too.
    shape : (int, int)
        Items and columns.
    attrs : mapping, optional
        Further root attributes (``network_sha256``).
    source : mapping, optional
        Where the features come from; anything JSON can hold.
    keep_lock : Lock, optional
        A lock that the caller holds on `path`.

    Returns
    -------
    str
        ``payload_sha256``.

    Raises
    ------
    DataError
        A value is NaN or infinite (its item and column are named), or nothing is left to write.
    UsageError, EnvironmentProblem
        See `ivbpr_numba.store.matrix.writing_matrix`.
    """
    with features_sink(
        path,
        items,
        names,
        groups,
        kind,
        scale,
        dtype,
        shape[1],
        attrs=attrs,
        source=source,
        keep_lock=keep_lock,
    ) as sink:
        start = 0
        for block in blocks:
            sink.put(np.arange(start, start + len(block)), block)
            start += len(block)
    return sink.payload_sha256


class FeatureSink:
    """Takes rows of stored values in any order, each exactly once, and refuses NaN and infinity."""

    def __init__(self, sink: MatrixSink, items: Ids, names: Sequence[str]) -> None:
        self._sink = sink
        self._items = items
        self._names = names

    @property
    def payload_sha256(self) -> str:
        """Digest of the payload, once the file is complete."""
        return self._sink.payload_sha256

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        """Write `block` (n, F) as the rows numbered `rows`."""
        check_finite(block, self._items, self._names, rows)
        self._sink.put(rows, block)


@contextlib.contextmanager
def features_sink(
    path: PathLike,
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    dtype: np.dtype | str,
    columns: int,
    *,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
    keep_lock: Lock | None = None,
) -> Iterator[FeatureSink]:
    """Write a feature file whose rows come in any order; see `write_features`."""
    stored = np.dtype(dtype)
    tree = feature_tree(items, names, groups, kind, scale, (len(items), columns), stored, attrs, source)
    with writing_matrix(path, tree, PAYLOAD, (len(items), columns), stored, keep_lock) as sink:
        yield FeatureSink(sink, items, names)


def row_blocks(matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Row numbers of a matrix in steps of about 8 MiB: the blocks that have a digest."""
    step = rows_per_block(matrix.shape, matrix.dtype)
    for start in range(0, len(matrix), step):
        yield np.arange(start, min(start + step, len(matrix)))


def describe(features: Features) -> dict[str, Any]:
    """Shape, groups and sparsity of features (``ivbpr features info``); reads every row once.

    Returns
    -------
    dict
        ``file items columns kind dtype scale payload_sha256 min max zero_share source`` and ``groups``: rows
        ``group columns exclusive items_with_value share_with_value``. `min` and `max` are values
        (stored × scale); shares are of all items, or of all stored numbers for ``zero_share``.
    """
    low, high, nonzero = np.inf, -np.inf, 0
    having = np.zeros(len(features.groups), dtype=np.int64)
    for rows in row_blocks(features.matrix):
        block = features.take(rows)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        filled = block != 0
        nonzero += int(np.count_nonzero(filled))
        for k, group in enumerate(features.groups):
            part = filled[:, group.offset : group.offset + group.size]
            having[k] += int(np.count_nonzero(part.any(axis=1)))
    count, columns = features.matrix.shape
    return {
        "file": features.path,
        "items": count,
        "columns": columns,
        "kind": features.kind,
        "dtype": features.matrix.dtype.name,
        "scale": features.scale,
        "min": low * features.scale,
        "max": high * features.scale,
        "zero_share": 1.0 - nonzero / (count * columns),
        "payload_sha256": features.payload_sha256,
        **features.attrs,
        "source": features.source,
        "groups": [
            {
                "group": group.name,
                "columns": group.size,
                "exclusive": group.exclusive,
                "items_with_value": int(with_value),
                "share_with_value": int(with_value) / count,
            }
            for group, with_value in zip(features.groups, having)
        ],
    }


def examples(features: Features, name: str, n: int = 10) -> list[dict[str, Any]]:
    """Items with the highest value of a feature (``ivbpr features examples``).

    Parameters
    ----------
    features : Features
    name : str
        As for `Features.column`.
    n : int
        At most so many; for attributes only items whose value is above 0.

    Returns
    -------
    list of dict
        ``rank item feature value``, highest first, ties by id.
    """
    column = features.column(name)
    values = np.concatenate([features.take(rows)[:, column] for rows in row_blocks(features.matrix)])
    values = values.astype(np.float64) * features.scale
    order = np.argsort(-values, kind="stable")[: max(0, n)]  # stable: rows, and so ties, are in id order
    if features.kind == "attributes":
        order = order[values[order] > 0]
    return [
        {
            "rank": k + 1,
            "item": features.items[int(row)],
            "feature": features.names[column],
            "value": float(values[row]),
        }
        for k, row in enumerate(order)
    ]
