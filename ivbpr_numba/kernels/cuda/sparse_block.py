"""The differences of a block's triples on sparse features, written out, and their products with the table."""

import numpy as np

from ivbpr_numba.kernels.cuda.block_steps import TRIPLES
from ivbpr_numba.kernels.cuda.factor import ZERO
from ivbpr_numba.kernels.cuda.target import cuda, device

__all__ = ["project_sparse", "write_differences"]

ONE = np.float32(1)


@device
def write_differences(features, positives, negatives, first, size, base, out):
    """out[b, 1 + k] = Δ_k of the triples first + b, b = base … base + TRIPLES − 1 below `size`; out[b, 0] =
    0.

    Values are added in four turns, in none of which a number of a triple is added to twice: groups are
    exclusive, and an item has a column once.
    """
    slots, indptr, columns, values = features
    place, threads = cuda.threadIdx.x, cuda.blockDim.x
    last = min(base + TRIPLES, size)
    for b in range(base, last):
        for c in range(place, out.shape[1], threads):
            out[b, c] = ZERO
    cuda.syncthreads()
    groups = slots.shape[1]
    for n in range(place, (last - base) * groups, threads):
        b, g = base + n // groups, n % groups
        of_i, of_j = np.int64(slots[positives[first + b], g]), np.int64(slots[negatives[first + b], g])
        if of_i != of_j:
            if of_i > 0:
                out[b, of_i] += ONE
            if of_j > 0:
                out[b, of_j] -= ONE
    cuda.syncthreads()
    if columns.shape[0] > 0:
        for b in range(base, last):
            i = positives[first + b]
            for n in range(indptr[i] + place, indptr[i + 1], threads):
                out[b, columns[n] + 1] += values[n]
        cuda.syncthreads()
        for b in range(base, last):
            j = negatives[first + b]
            for n in range(indptr[j] + place, indptr[j + 1], threads):
                out[b, columns[n] + 1] -= values[n]
        cuda.syncthreads()


@device
def project_sparse(features, positives, negatives, first, size, base, table, height, out):
    """out[b, p] = Σ_k Δ_k · table[k, p] of the same triples; slots before others."""
    slots, indptr, columns, values = features
    last = min(base + TRIPLES, size)
    for n in range(cuda.threadIdx.x, (last - base) * height, cuda.blockDim.x):
        b, p = base + n // height, n % height
        i, j = positives[first + b], negatives[first + b]
        total = ZERO
        for g in range(slots.shape[1]):
            total += table[slots[i, g], p] - table[slots[j, g], p]
        if columns.shape[0] > 0:
            for m in range(indptr[i], indptr[i + 1]):
                total += values[m] * table[columns[m] + 1, p]
            for m in range(indptr[j], indptr[j + 1]):
                total -= values[m] * table[columns[m] + 1, p]
        out[b, p] = total
