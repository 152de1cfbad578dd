"""``features import``: the matrix of a foreign file becomes a feature file, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.layout import DTYPES, Group, all_finite, check_layout, is_sparse, sort_distinct
from ivbpr_numba.features.rounding import Rounding
from ivbpr_numba.features.sources import RowSource, open_source
from ivbpr_numba.features.writing import features_sink, write_csr_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.kernels.arguments import Csr
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.sparse import csr_rows, joined

__all__ = ["import_features"]

_HINTS = {
    "uint8": f"Use {parameter('dtype', 'float16')} or float32, or divide by the largest value "
    f"({parameter('divide_by')}).",
    "float16": f"Use {parameter('dtype', 'float32')}, or divide the values ({parameter('divide_by')}).",
    "float32": f"Subtract what all values of a column share, or divide them ({parameter('divide_by')}).",
}


def import_features(
    path: PathLike,
    *,
    ids: PathLike | None = None,
    divide_by: float | None = None,
    dtype: str | None = None,
    kind: str = "dense",
    layout: str = "auto",
    out: PathLike,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Turn a matrix with ids into a feature file; no dense matrix is ever held in memory.

    Parameters
    ----------
    path : path
        ``.npy``, ``.npz``, also SciPy's, ``.h5`` or Amazon's ``.b`` (see `sources.open_source`).
    ids : path, optional
        Text file with one id a line, where the file itself has none.
    divide_by : float, optional
        Values are divided by this (58.388599, the largest activation of the Amazon files, for one).
    dtype : str, optional
        ``float16`` and ``float32`` round to the nearest; ``uint8`` stores round(255 · value) with a scale
        of 1/255, so values must lie in [0, 1] and are off by at most 1/510. A type that loses a column (see
        `rounding.Rounding`) is refused. Where none is given it is float16, or float32 where float16 would
        lose a column or can't hold a value; the file is then read twice.
    kind : str
        ``dense`` or ``attributes``.
    layout : str
        ``dense``, ``sparse``, or ``auto``: sparse for attributes of which few values are not zero
        (`layout.SPARSE_BELOW`); a dense matrix is read until that is known, and then from its beginning.
    out : path
        The feature file.
    progress : callable, optional
        Called with ``{"done": rows, "total": rows}`` after each block.

    Returns
    -------
    dict
        ``file input items columns kind dtype dtype_why layout scale divide_by min max largest_error
        payload_sha256``; `min` and `max` are of the values after division, `largest_error` is how far a
        stored value is from the true one at most, `dtype_why` says why it is not float16 where no dtype was
        given.

    Raises
    ------
    UsageError
        Files that don't exist, an unknown kind, dtype or layout, a divisor that is not a positive number.
    DataError
        Repeated ids, NaN, infinity, a value beyond the range of `dtype` or a column lost to it; the place is
        named.
    """
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"Features can't be stored as '{dtype}'.", f"Use {', '.join(DTYPES)}.")
    if divide_by is not None and not (np.isfinite(divide_by) and divide_by > 0):
        raise UsageError(f"Values can't be divided by {divide_by}.", "Give a positive number.")
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(path, out):
        raise UsageError(f"'{out}' is the input itself.", "Name another file for the result.")
    check_layout(layout)
    sparse = layout == "sparse"
    if layout == "auto" and kind == "attributes":
        source = open_source(path, ids)
        sparse = is_sparse(layout, kind, source.filled(), source.shape)
    if dtype is not None:
        return _import(path, ids, divide_by, dtype, None, kind, sparse, out, progress)
    try:
        return _import(path, ids, divide_by, "float16", None, kind, sparse, out, progress)
    except _TooNarrow as problem:
        return _import(path, ids, divide_by, "float32", problem.why, kind, sparse, out, progress)


class _TooNarrow(DataError):
    """A type can't hold what is to be stored; `why` in words."""

    def __init__(self, message: str, hint: str, why: str) -> None:
        super().__init__(message, hint)
        self.why = why


def _import(
    path: PathLike,
    ids: PathLike | None,
    divide_by: float | None,
    dtype: str,
    why: str | None,
    kind: str,
    sparse: bool,
    out: PathLike,
    progress: Observer | None,
) -> dict[str, Any]:
    source = open_source(path, ids)
    order = sort_distinct(source.ids, f"'{ids or path}'")
    items = Ids(source.ids[order], "item")
    names = source.names or [str(k) for k in range(source.columns)]
    groups = source.groups or [Group(kind, 0, source.columns, False)]
    scale = 1 / 255 if dtype == "uint8" else 1.0
    recorded = {
        "command": "features import",
        "input": os.path.basename(os.fspath(path)),
        "divide_by": divide_by,
    }
    storing = _Storing(path, source, names, divide_by, np.dtype(dtype), scale)
    if sparse and source.entries is not None:
        csr = csr_rows(storing.entries(), order)
        storing.refuse_lost()
        digest = write_csr_features(out, items, names, groups, kind, scale, csr, source=recorded)
        if progress is not None:
            progress({"done": len(order), "total": len(order)})
    else:
        target = np.empty(len(order), dtype=np.int64)
        target[order] = np.arange(len(order))
        start = 0
        with features_sink(
            out, items, names, groups, kind, scale, dtype, source.columns, source=recorded, sparse=sparse
        ) as sink:
            for raw in source.blocks():
                sink.put(target[start : start + len(raw)], storing.rows(raw, start))
                start += len(raw)
                if progress is not None:
                    progress({"done": start, "total": len(order)})
            storing.refuse_lost()
        digest = sink.payload_sha256
    rounding = storing.rounding
    return {
        "file": os.fspath(out),
        "input": os.fspath(path),
        "items": len(items),
        "columns": source.columns,
        "kind": kind,
        "dtype": dtype,
        "dtype_why": why,
        "layout": "sparse" if sparse else "dense",
        "scale": scale,
        "divide_by": divide_by,
        "min": float(rounding.low.min()),
        "max": float(rounding.high.max()),
        "largest_error": rounding.largest_error,
        "payload_sha256": digest,
    }


class _Storing:
    """Turns the numbers of a source into what is stored, and keeps account of what that costs."""

    def __init__(
        self,
        path: PathLike,
        source: RowSource,
        names: list[str],
        divide_by: float | None,
        dtype: np.dtype,
        scale: float,
    ) -> None:
        self.rounding = Rounding(source.columns)
        self._path = path
        self._source = source
        self._names = names
        self._divide_by = divide_by
        self._dtype = dtype
        self._scale = scale

    def rows(self, raw: np.ndarray, start: int) -> np.ndarray:
        """A block of rows, (n, F), the first of which is row `start` of the source."""
        values = self._scaled(raw)
        width = raw.shape[1]
        stored = self._stored(values, lambda place: (start + place // width, place % width))
        self.rounding.add(values, None if self._exact(raw) else stored, self._scale)
        return stored

    def entries(self) -> Csr:
        """All that is not zero, in the order of the source."""
        matrix = self._source.entries
        assert matrix is not None
        values = self._scaled(matrix.data)

        def where(entry: int) -> tuple[int, int]:
            return int(np.searchsorted(matrix.indptr, entry, side="right")) - 1, int(matrix.indices[entry])

        stored = self._stored(values, where)
        exact = self._exact(matrix.data)
        rows = matrix.shape[0]
        self.rounding.add_entries(matrix.indices, values, None if exact else stored, rows, self._scale)
        return joined(matrix.indptr, matrix.indices, stored)

    def refuse_lost(self) -> None:
        """Raise where the stored type loses a column."""
        complaint = self.rounding.complaint(self._names, self._dtype.name)
        if complaint:
            raise _TooNarrow(f"'{self._path}': {complaint}.", _HINTS[self._dtype.name], complaint)

    def _exact(self, raw: np.ndarray) -> bool:
        """Whether nothing is rounded."""
        plain = self._divide_by is None and self._source.scale == self._scale == 1.0
        return plain and np.can_cast(raw.dtype, self._dtype)

    def _scaled(self, raw: np.ndarray) -> np.ndarray:
        """Values as float32, or as float64 where the source holds more digits than float32."""
        exact = raw.dtype.itemsize < (4 if raw.dtype.kind in "iu" else 8)
        # What is no number is found, and named, when it is stored.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            values: np.ndarray = raw.astype(np.float32 if exact else np.float64)
            if self._source.scale != 1.0:
                values *= self._source.scale
            if self._divide_by is not None:
                values /= self._divide_by
        return values

    def _stored(self, values: np.ndarray, where: Callable[[int], tuple[int, int]]) -> np.ndarray:
        """Round to the stored type; what it can't hold is an error that names row and column.

        `where` tells them of a place in `values`, counted in C order.
        """
        dtype = self._dtype
        with np.errstate(over="ignore", invalid="ignore"):
            stored = (np.rint(values * 255) if dtype.kind == "u" else values).astype(dtype)
        if dtype.kind == "u":
            # Also False for NaN.
            if not values.size or (values.min() >= 0 and values.max() <= 1):
                return stored
            wrong = ~((values >= 0) & (values <= 1))
            hint = (
                f"uint8 holds values from 0 to 1: divide by the largest value ({parameter('divide_by')}), "
                "or use float16."
            )
        else:
            if all_finite(stored):
                return stored
            wrong = ~np.isfinite(stored)
            hint = (
                f"{dtype} holds values up to {np.finfo(dtype).max:g}: divide them "
                f"({parameter('divide_by')}) or use float32."
            )
        place = int(np.flatnonzero(wrong)[0])
        row, column = where(place)
        value = float(values.reshape(-1)[place])
        item = self._source.ids[row].decode()
        message = (
            f"'{self._path}', row {row + 1:,} (item '{item}'), column {column + 1:,} "
            f"('{self._names[column]}'): {value}."
        )
        if not np.isfinite(value):
            raise DataError(message, "Features must be finite; mend the input or leave that item out.")
        raise _TooNarrow(message, hint, f"{dtype} can't hold the value {value:g}")
