"""How much columns of features move together: what one of them is pulled by, pulls at others too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.inputs import DenseInput, FeatureInput, SparseInput

__all__ = ["joint_spread"]

LOOKED_AT = 1024  # items
COLUMNS = 4096  # at a time


def joint_spread(source: FeatureInput, scaling: Scaling) -> np.ndarray:
    """(C²)_kk / C_kk of every column k, with C the covariance of the scaled features over the items.

    That is Var(f_k) where columns have nothing to do with each other, and more where they say the same: the
    mean of C's eigenvalues, each weighted by its share in the column. Of at most 1,024 items, always the same
    ones; the bits do not depend on the number of threads.

    Returns
    -------
    (F,) float64
        0 for a column that is the same for these items.
    """
    n_items, n_columns = source.n_items, source.columns
    chosen = np.arange(n_items)
    if n_items > LOOKED_AT:
        chosen = np.sort(np.random.default_rng(0).choice(n_items, LOOKED_AT, replace=False))
    values = _reader(source, chosen)
    factor = scaling.multiplier.astype(np.float64) * source.scale

    def centred(start: int) -> np.ndarray:
        columns = slice(start, min(start + COLUMNS, n_columns))
        rows = values(columns) * factor[columns]
        centred_rows: np.ndarray = rows - rows.mean(axis=0)
        return centred_rows

    n, found = len(chosen), np.zeros(n_columns)
    with threadpool_limits(limits=1, user_api="blas"):
        products = np.zeros((n, n))
        for start in range(0, n_columns, COLUMNS):
            rows = centred(start)
            products += rows @ rows.T
        for start in range(0, n_columns, COLUMNS):
            rows = centred(start)
            variance = np.einsum("nk,nk->k", rows, rows) / n
            squared = np.einsum("nk,nk->k", rows, products @ rows) / n**2
            np.divide(squared, variance, out=found[start : start + COLUMNS], where=variance > 0)
    return found


def _reader(source: FeatureInput, items: np.ndarray) -> Callable[[slice], np.ndarray]:
    """A function that gives some columns of these items as they are stored, float64."""
    if isinstance(source, DenseInput):
        return lambda columns: _decoded(source.matrix[source.rows[items], columns])
    return lambda columns: _unfolded(source, items, columns)


def _decoded(stored: np.ndarray) -> np.ndarray:
    return (stored.view(np.float16) if stored.dtype == np.uint16 else stored).astype(np.float64)


def _unfolded(source: SparseInput, items: np.ndarray, columns: slice) -> np.ndarray:
    slots, indptr, names, values = source.stored
    found = np.zeros((len(items), columns.stop - columns.start))
    for n, item in enumerate(items):
        own = slice(indptr[item], indptr[item + 1])
        slot = slots[item].astype(np.int64) - 1
        for at, value in ((slot, np.ones(len(slot))), (names[own], values[own])):
            inside = (at >= columns.start) & (at < columns.stop)
            found[n, at[inside] - columns.start] = value[inside]
    return found
