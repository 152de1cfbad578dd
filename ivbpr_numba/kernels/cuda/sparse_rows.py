"""All items' sparse features projected and weighed (see `cpu.sparse_rows`)."""

import numpy as np

from ivbpr_numba.kernels.cuda.target import cuda, kernel, launch, spread

__all__ = ["project_sparse_items", "weigh_sparse_items"]


@kernel("void(u2[:,::1], i8[::1], i4[::1], f4[::1], f4[:,::1], f4[::1], f4[:,::1])")
def project_slots(slots, indptr, columns, values, table, offsets, out):
    """One thread for every number, slots before others."""
    width = out.shape[1]
    for n in range(cuda.grid(1), out.shape[0] * width, cuda.gridsize(1)):
        i, p = n // width, n % width
        total = offsets[p]
        for g in range(slots.shape[1]):
            total += table[slots[i, g], p]
        for m in range(indptr[i], indptr[i + 1]):
            total += values[m] * table[columns[m] + 1, p]
        out[i, p] = total


def project_sparse_items(features, table, offsets, out, shape=None):
    """Project the features of all items: out[n] = Σ_k v_nk · row k of the table + offsets.

    Parameters
    ----------
    features : SparseFeatures
    table : (1 + F, P) float32, row 0 zero
    offsets : (P,) float32
    out : (I, P) float32, filled
    shape : Shape, optional
    """
    launch(project_slots, spread(out.size, 256, shape), *features, table, offsets, out)


@kernel(
    "void(u2[:,::1], i8[::1], i4[::1], f4[::1], f8[::1], f8[::1])",
    double="a shift or a mean of all items, once a fit, given and wanted in float64",
)
def weigh_slots(slots, indptr, columns, values, weights, out):
    """One thread for each item."""
    for i in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        total = 0.0
        for g in range(slots.shape[1]):
            total += weights[slots[i, g]]
        for m in range(indptr[i], indptr[i + 1]):
            total += weights[columns[m] + 1] * np.float64(values[m])
        out[i] = total


def weigh_sparse_items(features, weights, out, shape=None):
    """Sum the weighted features of all items in float64: out[n] = Σ_k weights_k v_nk, slots before others.

    Parameters
    ----------
    features : SparseFeatures
    weights : (1 + F,) float64, the first zero
    out : (I,) float64, filled
    shape : Shape, optional
    """
    launch(weigh_slots, spread(out.shape[0], 256, shape), *features, weights, out)
