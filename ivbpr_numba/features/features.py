"""Feature files: one row of values per item, named columns, column groups."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.features.encoding import check_choices, encode
from ivbpr_numba.features.layout import (
    FORMAT,
    Columns,
    Group,
    check_layout,
    count_filled,
    is_sparse,
    layout_from,
)
from ivbpr_numba.features.memory import parts_in_memory, parts_of_matrix
from ivbpr_numba.features.showing import as_html, shorten
from ivbpr_numba.features.writing import write_csr_features, write_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.readers.item_columns import Tags, columns_of_frame
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.blocks import Rows, row_blocks
from ivbpr_numba.store.files import refuse_changed
from ivbpr_numba.store.matrix import MappedMatrix
from ivbpr_numba.store.sparse import SparseMatrix
from ivbpr_numba.store.sparse_file import open_rows
from ivbpr_numba.store.tree import Tree

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Features"]


class Features:
    """Features of items; made by `read` from a file, by `from_frame` or by `from_matrix`.

    Attributes
    ----------
    items : Ids
        Item ids, sorted by their UTF-8 bytes; one row each.
    shape : (int, int)
        Items and columns.
    dtype : dtype
        Of the stored values: float16, float32 or uint8.
    sparse : bool
        Whether rows are laid out sparse: only what is not zero is kept (`csr`), in memory. Else they are in
        `matrix`. `take` and `values` give the same rows for both.
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
        stored: Rows,
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
        self.shape = stored.shape
        self.dtype = stored.dtype
        self.sparse = isinstance(stored, SparseMatrix)
        self.scale = scale
        self.names = names
        self.groups = groups
        self.kind = kind
        self.payload_sha256 = payload_sha256
        self.path = path
        self.attrs = attrs or {}
        self.source = source or {}
        self._stored = stored

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        rows, columns = self.shape
        groups = f" in {len(self.groups):,} groups" if len(self.groups) > 1 else ""
        shown = ", ".join(shorten(name) for name in self.names[:3]) + (", …" if columns > 3 else "")
        size = f"{rows:,} items × {columns:,} columns{groups}"
        return f"Features({size}, {self.kind}, {self.dtype}{', sparse' if self.sparse else ''}: {shown})"

    def _repr_html_(self) -> str:
        return as_html(self)

    @classmethod
    def read(cls, path: PathLike) -> Features:
        """Open a feature file; a dense matrix stays on disk, of a sparse one all is read.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            Not a feature file, cut short, of a newer major version, or changed since it was written.
        """
        sealed, stored = open_rows(path, FORMAT)
        refuse_changed(path, sealed.changed)
        if fault := stored.fault():
            raise DataError(f"'{path}' is damaged: {fault}.", "Make the file again.")
        layout = layout_from(Tree(FORMAT, sealed.objects, sealed.attrs), stored.shape, path)
        return cls(stored=stored, path=os.fspath(path), **layout)

    @classmethod
    def from_matrix(
        cls,
        X: Any,
        *,
        ids: Ids | Iterable[object] | None = None,
        names: Sequence[str] | None = None,
        groups: Sequence[Group] | Sequence[str] | None = None,
        kind: str | None = None,
        scale: float = 1.0,
        layout: str = "auto",
    ) -> Features:
        """Make features of a matrix in memory.

        Parameters
        ----------
        X : array (I, F), SciPy sparse matrix or array, or data frame
            Values before `scale`. float16, float32 and uint8 are kept, other numbers become float32.
        ids : Ids or iterable of text or whole numbers
            One per row, in any order; rows are sorted by id. A data frame has them as its index.
        names : sequence of str, optional
            Column names; numbers by default.
        groups : sequence of Group, or of str, optional
            The groups, or the name of its group for each column, columns of a group beside each other. By
            default one group of all columns, or, for attributes named ``column=value``, a group for each run
            of equal columns. Where only names are given, a group of attributes is exclusive if no row of it
            sums to more than 1.
        kind : str, optional
            ``dense``, which it is by default, or ``attributes``: values from 0 to 1. A frame that `to_frame`
            made remembers it.
        scale : float
            value = stored × scale.
        layout : str
            ``dense``, ``sparse``, or ``auto``: sparse for attributes of which few values are not zero
            (`layout.SPARSE_BELOW`). Nothing but room and time depends on it.

        Examples
        --------
        >>> import numpy as np
        >>> from ivbpr_numba import Features
        >>> one_hot = np.eye(2)
        >>> Features.from_matrix(one_hot, ids=["b", "a"], names=["hue=red", "hue=blue"], kind="attributes")
        Features(2 items × 2 columns, attributes, float32: hue=red, hue=blue)

        Raises
        ------
        UsageError
            An unknown kind or layout.
        DataError
            Ids repeat or are neither text nor whole numbers, shapes disagree, or values are not numbers, NaN,
            infinite, or lost in float32.
        """
        return cls(**parts_of_matrix(X, ids, names, groups, kind, scale, layout))

    @classmethod
    def from_arrays(
        cls,
        items: Ids | Iterable[object],
        matrix: np.ndarray,
        names: Sequence[str] | None = None,
        groups: Sequence[Group] | None = None,
        kind: str | None = None,
        scale: float = 1.0,
        layout: str = "auto",
    ) -> Features:
        """`from_matrix` with the ids first: ``Features.from_arrays(ids, matrix)``."""
        return cls.from_matrix(
            matrix, ids=items, names=names, groups=groups, kind=kind, scale=scale, layout=layout
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        id: object,
        columns: Sequence[str] = (),
        tags: Tags = (),
        min_count: int = 1,
        aggregate: str = "error",
        layout: str = "auto",
    ) -> Features:
        """One-hot groups of a data frame of items, as ``ivbpr features table`` makes them of a file.

        Parameters
        ----------
        frame : DataFrame
        id : label
            The column of item ids: text or whole numbers.
        columns : sequence of labels
            Columns with one value an item; each becomes an exclusive group named ``column=value``.
        tags : sequence of labels, or mapping of label to separator
            Columns with any number of values: lists, sets, arrays, or text with separators (``;``).
        min_count, aggregate
            See `tables.build_feature_table`.
        layout
            See `from_matrix`.

        Returns
        -------
        Features
            Of kind ``attributes``, float16; `source` reports what was left out.

        Examples
        --------
        >>> import pandas as pd
        >>> from ivbpr_numba import Features
        >>> catalogue = pd.DataFrame({"item": [1, 2], "hue": ["red", "blue"], "style": ["floral;long", ""]})
        >>> Features.from_frame(catalogue, id="item", columns=["hue"], tags=["style"]).names
        ['hue=blue', 'hue=red', 'style=floral', 'style=long']

        Raises
        ------
        UsageError, DataError
            See `tables.build_feature_table`.
        """
        check_choices(min_count, aggregate)
        check_layout(layout)
        hint = "Matrices go to Features.from_matrix, files to Features.read."
        expected.frame(frame, "Features.from_frame", hint)
        expected.label("id", id)
        rows, read = columns_of_frame(frame, id, columns, tags)
        encoded = encode(rows, read, min_count, aggregate, None)
        features = cls(
            **parts_in_memory(
                encoded.items, encoded.csr(), encoded.names, encoded.groups, "attributes", 1.0, layout
            )
        )
        features.source = {"command": "Features.from_frame", "min_count": min_count, **encoded.report}
        return features

    def write(self, path: PathLike, *, layout: str = "auto") -> str:
        """Write a feature file (see `write_features`) and return its ``payload_sha256``.

        Parameters
        ----------
        path : path
        layout : str
            As for `from_matrix`.
        """
        counted = layout == "auto" and self.kind == "attributes"
        sparse = is_sparse(layout, self.kind, self._filled() if counted else 0, self.shape)
        if sparse and self.sparse:
            return write_csr_features(
                path, self.items, self.names, self.groups, self.kind, self.scale, self.csr(),
                attrs=self.attrs, source=self.source,
            )  # fmt: skip
        blocks = (self.take(rows) for rows in row_blocks(self.shape, self.dtype))
        return write_features(
            path, self.items, self.names, self.groups, self.kind, self.scale, blocks, self.dtype,
            self.shape, attrs=self.attrs, source=self.source, sparse=sparse,
        )  # fmt: skip

    def _filled(self) -> int:
        """How many values are not zero; of the dense layout, whether so many that it stays."""
        if self.sparse:
            return len(self.csr().indices)
        blocks = (self.take(rows) for rows in row_blocks(self.shape, self.dtype))
        return count_filled(blocks, self.shape)

    def to_frame(self) -> pd.DataFrame:
        """A row for each item, a column for each feature; `from_matrix` takes it back.

        Returns
        -------
        DataFrame
            Values as they are stored, times `scale` where that is not 1; ``attrs["kind"]`` is the kind.
        """
        import pandas as pd

        rows = np.arange(len(self))
        values = self.take(rows) if self.scale == 1 else self.values(rows)
        frame = pd.DataFrame(values, index=pd.Index(self.items, name="id"), columns=self.names)
        frame.attrs["kind"] = self.kind
        return frame

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
                f"Prepare the data with {parameter('features', of='prepare')}: it keeps covered "
                "items only; or leave out the purchases of the other items.",
            )
        return rows

    @property
    def matrix(self) -> np.ndarray:
        """Stored values, (I, F), read-only, a memory map when read from a file; only of the dense layout.

        Raises
        ------
        UsageError
            The rows are laid out sparse.
        """
        if isinstance(self._stored, MappedMatrix):
            return self._stored.values
        raise UsageError(
            "These features are laid out sparse and have no matrix.",
            "Rows are take(rows) and values(rows), all that is not zero is csr().",
        )

    def csr(self) -> Csr:
        """What is not zero of all rows, read-only; only of the sparse layout.

        Raises
        ------
        UsageError
            The rows are laid out dense.
        """
        if isinstance(self._stored, SparseMatrix):
            return self._stored.csr
        raise UsageError("These features are laid out dense.", "Their rows are take(rows) and values(rows).")

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows, (n, F) contiguous; of a file that is mapped, blocks are checked when first touched.

        Raises
        ------
        DataError
            A block differs from its digest.
        """
        rows = np.asarray(rows)
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self)):
            raise DataError("Features were asked for an item that has none.", "Check rows() for −1 first.")
        return self._stored.take(rows)

    def stored_column(self, column: int) -> np.ndarray:
        """Stored values of one column, (I,).

        Raises
        ------
        DataError
            A block differs from its digest.
        """
        return self._stored.column(column)

    def check(self) -> None:
        """Compare every block of rows with its digest, each once.

        Raises
        ------
        DataError
            A block differs.
        """
        self._stored.check()

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
