"""Feature files: one row of values per item, named columns, column groups."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.describing import describe, examples
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
from ivbpr_numba.features.writing import FeatureSink, features_sink, row_blocks, write_features
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.files import refuse_changed
from ivbpr_numba.store.matrix import (
    MATRIX,
    MappedMatrix,
    as_digested,
    digest_blocks,
    open_matrix,
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

    def check(self) -> None:
        """Compare every block of the matrix with its digest, each once.

        Raises
        ------
        DataError
            A block differs.
        """
        self._mapped.check()

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
