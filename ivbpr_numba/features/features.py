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
    DTYPES,
    FORMAT,
    PAYLOAD,
    Columns,
    Group,
    all_finite,
    check_attributes,
    check_finite,
    default_groups,
    feature_tree,
    layout_from,
    sort_distinct,
)
from ivbpr_numba.features.rounding import Rounding
from ivbpr_numba.features.showing import as_html, shorten
from ivbpr_numba.features.writing import row_blocks, write_features
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.readers.cells import id_text
from ivbpr_numba.readers.item_columns import Tags, columns_of_frame
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

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Features"]


class Features:
    """Features of items; made by `read` from a file, by `from_frame` or by `from_matrix`.

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
        groups = f" in {len(self.groups):,} groups" if len(self.groups) > 1 else ""
        shown = ", ".join(shorten(name) for name in self.names[:3]) + (", …" if columns > 3 else "")
        size = f"{rows:,} items × {columns:,} columns{groups}"
        return f"Features({size}, {self.kind}, {self.matrix.dtype}: {shown})"

    def _repr_html_(self) -> str:
        return as_html(self)

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
    def from_matrix(
        cls,
        X: Any,
        *,
        ids: Ids | Iterable[object] | None = None,
        names: Sequence[str] | None = None,
        groups: Sequence[Group] | Sequence[str] | None = None,
        kind: str | None = None,
        scale: float = 1.0,
    ) -> Features:
        """Make features of a matrix in memory.

        Parameters
        ----------
        X : array (I, F), SciPy sparse matrix or array, or data frame
            Values before `scale`. float16, float32 and uint8 are kept, other numbers become float32. A sparse
            matrix becomes a dense one.
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
            An unknown kind.
        DataError
            Ids repeat or are neither text nor whole numbers, shapes disagree, or values are not numbers, NaN,
            infinite, or lost in float32.
        """
        for what, given in (("The ids", ids), ("The names", names), ("The groups", groups)):
            expected.ordered(what, given)
        if hasattr(X, "columns"):  # a frame has labels, which must not be passed over
            kind = kind or X.attrs.get("kind")
            ids = X.index if ids is None else ids
            ids = ids if isinstance(ids, Ids) else list(ids)
            given = ids.texts() if isinstance(ids, Ids) else [str(one) for one in ids]
            labels = [str(label) for label in X.index]
            if labels != given and labels != [str(k) for k in range(len(labels))]:
                raise DataError(
                    "The rows of the frame are labelled otherwise than the ids.",
                    "Give ids=frame.index, or the plain matrix frame.to_numpy().",
                )
            names = list(X.columns) if names is None else names
        kind = "dense" if kind is None else kind
        if ids is None:
            raise UsageError("A matrix doesn't say which row is which item.", "Give one id a row: ids=[…].")
        if np.ma.is_masked(X):
            raise DataError("The feature matrix has masked cells.", "Say what they are worth: X.filled(0).")
        values = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        if values.dtype.kind not in "biuf":
            hint = "Give one number each; tables of text go to Features.from_frame."
            raise DataError(f"The feature matrix holds {values.dtype}, not numbers.", hint)
        if values.ndim != 2:
            raise DataError(f"The feature matrix has {values.ndim} dimensions, not 2.", "One row an item.")
        names = [str(k) for k in range(values.shape[1])] if names is None else [str(name) for name in names]
        if values.dtype.name not in DTYPES:
            values = _as_float32(values, names)
        if not isinstance(ids, Ids):
            encoded = _encoded(ids)
            if len(encoded) != len(values):
                raise DataError(
                    f"{len(encoded):,} ids for {len(values):,} rows of features.", "One id a row."
                )
            order = sort_distinct(encoded, "The features")
            items, values = Ids(encoded[order], "item"), values[order]
        else:
            items = ids
        values = np.array(values, dtype=values.dtype.newbyteorder("<"), order="C")
        values.flags.writeable = False
        if groups is None or (len(groups) and isinstance(groups[0], str)):
            found = default_groups(names, values, kind, scale, groups)  # type: ignore[arg-type]
        else:
            found = list(groups)  # type: ignore[arg-type]
        tree = feature_tree(items, names, found, kind, scale, values.shape, values.dtype)
        check_finite(values, items, names)
        if kind == "attributes":
            check_attributes(values, scale, items, names)
        digests = digest_blocks(values)
        entries = entries_of(tree.objects, tree.attrs)
        whole = {**entries, MATRIX: as_digested(values.shape, values.dtype, digests)}
        digest = digest_objects({name: whole[name] for name in PAYLOAD})
        mapped = MappedMatrix(values, digests, "(features in memory)")
        return cls(items, mapped, float(scale), names, found, kind, digest)

    @classmethod
    def from_arrays(
        cls,
        items: Ids | Iterable[object],
        matrix: np.ndarray,
        names: Sequence[str] | None = None,
        groups: Sequence[Group] | None = None,
        kind: str | None = None,
        scale: float = 1.0,
    ) -> Features:
        """`from_matrix` with the ids first: ``Features.from_arrays(ids, matrix)``."""
        return cls.from_matrix(matrix, ids=items, names=names, groups=groups, kind=kind, scale=scale)

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
        hint = "Matrices go to Features.from_matrix, files to Features.read."
        expected.frame(frame, "Features.from_frame", hint)
        expected.label("id", id)
        rows, read = columns_of_frame(frame, id, columns, tags)
        encoded = encode(rows, read, min_count, aggregate, None)
        matrix = np.concatenate(list(encoded.blocks()))
        features = cls.from_matrix(
            matrix, ids=encoded.items, names=encoded.names, groups=encoded.groups, kind="attributes"
        )
        features.source = {"command": "Features.from_frame", "min_count": min_count, **encoded.report}
        return features

    def write(self, path: PathLike) -> str:
        """Write a feature file (see `write_features`) and return its ``payload_sha256``."""
        blocks = (self.take(rows) for rows in row_blocks(self.matrix))
        return write_features(
            path, self.items, self.names, self.groups, self.kind, self.scale, blocks, self.matrix.dtype,
            self.matrix.shape, attrs=self.attrs, source=self.source,
        )  # fmt: skip

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


def _encoded(ids: Iterable[object]) -> np.ndarray:
    """Ids as fixed-width UTF-8."""
    texts = []
    for row, value in enumerate(ids):
        try:
            texts.append(value if isinstance(value, bytes) else id_text(value))
        except ValueError as problem:
            raise DataError(
                f"The id of row {row + 1:,} is {problem}.", "Give ids as text or whole numbers."
            ) from None
    return encode_ids(texts)


def _as_float32(values: np.ndarray, names: list[str]) -> np.ndarray:
    """The values as float32, unless that loses a column."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        stored: np.ndarray = values.astype(np.float32)
    if values.size and all_finite(stored):  # what is not finite is named later
        rounding = Rounding(values.shape[1])
        rounding.add(values, None if np.can_cast(values.dtype, np.float32) else stored)
        columns = names if len(names) == values.shape[1] else list(map(str, range(values.shape[1])))
        complaint = rounding.complaint(columns, "float32")
        if complaint:
            hint = "Subtract what all values of a column share, or divide them by a common number."
            raise DataError(f"{complaint[0].upper()}{complaint[1:]}.", hint)
    return stored
