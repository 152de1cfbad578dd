"""Writing feature files: rows in any order, each once, checked, never all in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ivbpr_numba.features.layout import FORMAT, PAYLOAD, Group, check_finite, feature_tree
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.atomic import Lock, PathLike, lock
from ivbpr_numba.store.files import check_target
from ivbpr_numba.store.matrix import MatrixSink, writing_matrix
from ivbpr_numba.store.sparse import csr_of, csr_rows, stacked
from ivbpr_numba.store.sparse_file import write_csr

__all__ = ["FeatureSink", "features_sink", "write_csr_features", "write_features"]


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
    sparse: bool = False,
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
    sparse : bool
        Whether the rows are laid out sparse; what of them is not zero is then held until all are there.

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
        sparse=sparse,
    ) as sink:
        start = 0
        for block in blocks:
            sink.put(np.arange(start, start + len(block)), block)
            start += len(block)
    return sink.payload_sha256


def write_csr_features(
    path: PathLike,
    items: Ids,
    names: Sequence[str],
    groups: Sequence[Group],
    kind: str,
    scale: float,
    csr: Csr,
    *,
    attrs: Mapping[str, str | int | float] | None = None,
    source: Mapping[str, Any] | None = None,
    keep_lock: Lock | None = None,
) -> str:
    """Write a feature file of the sparse layout; see `write_features`."""
    shape = (len(csr.indptr) - 1, len(names))
    tree = feature_tree(items, names, groups, kind, scale, shape, csr.values.dtype, attrs, source)
    check_finite(csr, items, names)
    return write_csr(path, tree, PAYLOAD, csr, len(names), keep_lock)


class FeatureSink(Protocol):
    """Takes rows of stored values in any order, each exactly once, and refuses NaN and infinity.

    Attributes
    ----------
    payload_sha256 : str
        Digest of the payload, once the file is complete.
    """

    payload_sha256: str

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        """Take `block` (n, F) as the rows numbered `rows`."""


class _DenseSink:
    """Writes rows at once."""

    def __init__(self, sink: MatrixSink, items: Ids, names: Sequence[str]) -> None:
        self._sink = sink
        self._items = items
        self._names = names
        self.payload_sha256 = ""

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        check_finite(block, self._items, self._names, rows)
        self._sink.put(rows, block)


class _SparseSink:
    """Keeps what of the rows is not zero."""

    def __init__(self, items: Ids, names: Sequence[str], dtype: np.dtype) -> None:
        self._items = items
        self._names = names
        self._dtype = dtype
        self._rows: list[np.ndarray] = []
        self._parts: list[Csr] = []
        self.payload_sha256 = ""

    def put(self, rows: np.ndarray, block: np.ndarray) -> None:
        if block.dtype != self._dtype or block.shape != (len(rows), len(self._names)):
            raise ValueError(f"a block of {block.dtype} {block.shape} does not fit {len(rows)} rows")
        check_finite(block, self._items, self._names, rows)
        self._rows.append(rows)
        self._parts.append(csr_of(block))

    def csr(self) -> Csr:
        """All rows in their order."""
        rows = np.concatenate(self._rows)
        order = np.argsort(rows)
        if not np.array_equal(rows[order], np.arange(len(self._items))):
            raise ValueError("a row was given twice or not at all")
        return csr_rows(stacked(self._parts), order)


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
    sparse: bool = False,
) -> Iterator[FeatureSink]:
    """Write a feature file whose rows come in any order; see `write_features`."""
    stored = np.dtype(dtype)
    shape = (len(items), columns)
    tree = feature_tree(items, names, groups, kind, scale, shape, stored, attrs, source)
    if sparse:
        check_target(path, FORMAT)
        with contextlib.nullcontext(keep_lock) if keep_lock else lock(path) as held:
            kept = _SparseSink(items, names, stored)
            yield kept
            kept.payload_sha256 = write_csr(path, tree, PAYLOAD, kept.csr(), columns, held)
        return
    with writing_matrix(path, tree, PAYLOAD, shape, stored, keep_lock) as rows:
        sink = _DenseSink(rows, items, names)
        yield sink
    sink.payload_sha256 = rows.payload_sha256
