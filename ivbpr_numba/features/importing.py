"""``features import``: the matrix of a foreign file becomes a feature file, block by block."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.layout import DTYPES, Group, all_finite, sort_distinct
from ivbpr_numba.features.rounding import Rounding
from ivbpr_numba.features.sources import open_source
from ivbpr_numba.features.writing import features_sink
from ivbpr_numba.ids import Ids
from ivbpr_numba.store.atomic import PathLike

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
    out: PathLike,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Turn a matrix with ids into a feature file; neither file is ever held in memory.

    Parameters
    ----------
    path : path
        ``.npy``, ``.npz``, ``.h5`` or Amazon's ``.b`` (see `sources.open_source`).
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
    out : path
        The feature file.
    progress : callable, optional
        Called with ``{"done": rows, "total": rows}`` after each block.

    Returns
    -------
    dict
        ``file input items columns kind dtype dtype_why scale divide_by min max largest_error
        payload_sha256``; `min` and `max` are of the values after division, `largest_error` is how far a
        stored value is from the true one at most, `dtype_why` says why it is not float16 where no dtype was
        given.

    Raises
    ------
    UsageError
        Files that don't exist, an unknown kind or dtype, a divisor that is not a positive number.
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
    if dtype is not None:
        return _import(path, ids, divide_by, dtype, None, kind, out, progress)
    try:
        return _import(path, ids, divide_by, "float16", None, kind, out, progress)
    except _TooNarrow as problem:
        return _import(path, ids, divide_by, "float32", problem.why, kind, out, progress)


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
    out: PathLike,
    progress: Observer | None,
) -> dict[str, Any]:
    source = open_source(path, ids)
    order = sort_distinct(source.ids, f"'{ids or path}'")
    target = np.empty(len(order), dtype=np.int64)
    target[order] = np.arange(len(order))
    items = Ids(source.ids[order], "item")
    names = source.names or [str(k) for k in range(source.columns)]
    groups = source.groups or [Group(kind, 0, source.columns, False)]
    scale = 1 / 255 if dtype == "uint8" else 1.0
    recorded = {
        "command": "features import",
        "input": os.path.basename(os.fspath(path)),
        "divide_by": divide_by,
    }
    rounding, start = Rounding(source.columns), 0
    with features_sink(
        out, items, names, groups, kind, scale, dtype, source.columns, source=recorded
    ) as sink:
        for raw in source.blocks():
            values = _scaled(raw, source.scale, divide_by)
            stored = _stored(values, np.dtype(dtype), start, source.ids, names, path)
            exact = divide_by is None and source.scale == scale == 1.0 and np.can_cast(raw.dtype, dtype)
            rounding.add(values, None if exact else stored, scale)
            sink.put(target[start : start + len(raw)], stored)
            start += len(raw)
            if progress is not None:
                progress({"done": start, "total": len(order)})
        complaint = rounding.complaint(names, dtype)
        if complaint:
            raise _TooNarrow(f"'{path}': {complaint}.", _HINTS[dtype], complaint)
    return {
        "file": os.fspath(out),
        "input": os.fspath(path),
        "items": len(items),
        "columns": source.columns,
        "kind": kind,
        "dtype": dtype,
        "dtype_why": why,
        "scale": scale,
        "divide_by": divide_by,
        "min": float(rounding.low.min()),
        "max": float(rounding.high.max()),
        "largest_error": rounding.largest_error,
        "payload_sha256": sink.payload_sha256,
    }


def _scaled(raw: np.ndarray, scale: float, divide_by: float | None) -> np.ndarray:
    """Values as float32, or as float64 where the source holds more digits than float32."""
    exact = raw.dtype.itemsize < (4 if raw.dtype.kind in "iu" else 8)
    # What is no number is found, and named, when it is stored.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values: np.ndarray = raw.astype(np.float32 if exact else np.float64)
        if scale != 1.0:
            values *= scale
        if divide_by is not None:
            values /= divide_by
    return values


def _stored(
    values: np.ndarray, dtype: np.dtype, start: int, ids: np.ndarray, names: list[str], path: PathLike
) -> np.ndarray:
    """Round to the stored type; what it can't hold is an error that names row and column."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = (np.rint(values * 255) if dtype.kind == "u" else values).astype(dtype)
    if dtype.kind == "u":
        if values.min() >= 0 and values.max() <= 1:  # also False for NaN
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
            f"{dtype} holds values up to {np.finfo(dtype).max:g}: divide them ({parameter('divide_by')}) "
            "or use float32."
        )
    row, column = np.argwhere(wrong)[0].tolist()
    value = float(values[row, column])
    where = f"row {start + row + 1:,} (item '{ids[start + row].decode()}'), column {column + 1:,}"
    message = f"'{path}', {where} ('{names[column]}'): {value}."
    if not np.isfinite(value):
        raise DataError(message, "Features must be finite; mend the input or leave that item out.")
    raise _TooNarrow(message, hint, f"{dtype} can't hold the value {value:g}")
