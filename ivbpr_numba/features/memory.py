"""Features made of a matrix in memory: its types, its ids, its groups, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.layout import (
    DTYPES,
    PAYLOAD,
    Group,
    all_finite,
    check_attributes,
    check_finite,
    check_layout,
    default_groups,
    feature_tree,
    is_sparse,
    largest_sums,
    sort_distinct,
)
from ivbpr_numba.features.rounding import Rounding
from ivbpr_numba.features.scipy_matrices import canonical
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.readers.cells import id_text
from ivbpr_numba.store.blocks import MATRIX, Rows, as_digested
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.matrix import MappedMatrix, digest_blocks
from ivbpr_numba.store.sparse import (
    SparseMatrix,
    csr_of,
    csr_rows,
    dense_rows,
    digest_csr,
    filled,
    joined,
)
from ivbpr_numba.store.tree import entries_of

__all__ = ["parts_in_memory", "parts_of_matrix"]

PLACE = "(features in memory)"


def parts_of_matrix(
    X: Any,
    ids: Ids | Iterable[object] | None,
    names: Sequence[str] | None,
    groups: Sequence[Group] | Sequence[str] | None,
    kind: str | None,
    scale: float,
    layout: str,
) -> dict[str, Any]:
    """The arguments of `Features` for what `Features.from_matrix` was given; it tells what they mean."""
    check_layout(layout)
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
    given = X if hasattr(X, "tocsr") else np.asarray(X)
    if given.dtype.kind not in "biuf":
        hint = "Give one number each; tables of text go to Features.from_frame."
        raise DataError(f"The feature matrix holds {given.dtype}, not numbers.", hint)
    if given.ndim != 2:
        raise DataError(f"The feature matrix has {given.ndim} dimensions, not 2.", "One row an item.")
    count, columns = given.shape
    names = [str(k) for k in range(columns)] if names is None else [str(name) for name in names]
    rows = _of_scipy(given, names) if hasattr(X, "tocsr") else _of_array(given, names)
    if isinstance(ids, Ids):
        items = ids
    else:
        encoded = _encoded(ids)
        if len(encoded) != count:
            raise DataError(f"{len(encoded):,} ids for {count:,} rows of features.", "One id a row.")
        order = sort_distinct(encoded, "The features")
        items = Ids(encoded[order], "item")
        if not np.array_equal(order, np.arange(count)):
            rows = csr_rows(rows, order) if isinstance(rows, Csr) else rows[order]
    if groups is None or (len(groups) and isinstance(groups[0], str)):
        found = default_groups(
            names,
            kind,
            lambda starts: largest_sums(rows, columns, scale, starts),
            groups,  # type: ignore[arg-type]
        )
    else:
        found = list(groups)  # type: ignore[arg-type]
    return parts_in_memory(items, rows, names, found, kind, float(scale), layout)


def parts_in_memory(
    items: Ids,
    rows: np.ndarray | Csr,
    names: list[str],
    groups: list[Group],
    kind: str,
    scale: float,
    layout: str,
) -> dict[str, Any]:
    """The arguments of `Features` for stored rows, (I, F), in the order of the items.

    Raises
    ------
    UsageError, DataError
        See `Features.from_matrix`.
    """
    columns = len(names)
    dtype = rows.values.dtype if isinstance(rows, Csr) else rows.dtype
    shape = (len(rows.indptr) - 1, columns) if isinstance(rows, Csr) else rows.shape
    tree = feature_tree(items, names, groups, kind, scale, shape, dtype)
    check_finite(rows, items, names)
    if kind == "attributes":
        check_attributes(rows, scale, items, names)
    kept = len(rows.indices) if isinstance(rows, Csr) else int(np.count_nonzero(filled(rows)))
    laid: Rows
    if is_sparse(layout, kind, kept, shape):
        csr = rows if isinstance(rows, Csr) else csr_of(rows)
        laid = SparseMatrix(csr, columns, digest_csr(csr, columns), PLACE)
    else:
        if isinstance(rows, Csr):
            values = dense_rows(rows, np.arange(shape[0]), columns)
        else:
            values = np.array(rows, order="C")  # whoever gave them may change theirs
        values.flags.writeable = False
        laid = MappedMatrix(values, digest_blocks(values), PLACE)
    entries = {**entries_of(tree.objects, tree.attrs), MATRIX: as_digested(shape, dtype, laid.digests)}
    return {
        "items": items,
        "stored": laid,
        "scale": scale,
        "names": names,
        "groups": groups,
        "kind": kind,
        "payload_sha256": digest_objects({name: entries[name] for name in PAYLOAD}),
    }


def _of_array(given: np.ndarray, names: list[str]) -> np.ndarray:
    """Stored values, little-endian."""
    values = given if given.dtype.name in DTYPES else _as_float32(given, names, given.shape)
    return np.asarray(values, dtype=values.dtype.newbyteorder("<"), order="C")


def _of_scipy(given: Any, names: list[str]) -> Csr:
    """What of a SciPy matrix is not zero; entries of one place are added up, as SciPy does."""
    matrix = canonical(given)
    values = matrix.data
    if given.dtype == np.float16:
        values = values.astype(np.float16)
    elif values.dtype.name not in DTYPES:
        values = _as_float32(values, names, given.shape, matrix.indices)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return joined(matrix.indptr, matrix.indices, values)


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


def _as_float32(
    values: np.ndarray, names: list[str], shape: tuple[int, int], columns: np.ndarray | None = None
) -> np.ndarray:
    """The values as float32, unless that loses a column.

    Parameters
    ----------
    values : (I, F), or (n,): those that are not zero
    names : list of str
    shape : (I, F)
    columns : (n,), optional
        Of values that are not zero.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        stored: np.ndarray = values.astype(np.float32)
    if values.size and all_finite(stored):  # what is not finite is named later
        rounding = Rounding(shape[1])
        rounded = None if np.can_cast(values.dtype, np.float32) else stored
        if columns is None:
            rounding.add(values, rounded)
        else:
            rounding.add_entries(columns, values, rounded, shape[0])
        complaint = rounding.complaint(
            names if len(names) == shape[1] else list(map(str, range(shape[1]))), "float32"
        )
        if complaint:
            hint = "Subtract what all values of a column share, or divide them by a common number."
            raise DataError(f"{complaint[0].upper()}{complaint[1:]}.", hint)
    return stored
