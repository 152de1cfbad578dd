"""Products of a table's rows with four rows of values, some columns at a time."""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["project"]


# Sums over features may be reordered by the compiler: finite inputs, no guards.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def project_four(weights, r, values, lo, hi):
    """Four dot products of `values` with the rows r … r+3 of `weights`, sharing every load."""
    w0, w1, w2, w3 = weights[r, lo:hi], weights[r + 1, lo:hi], weights[r + 2, lo:hi], weights[r + 3, lo:hi]
    own = values[lo:hi]
    s0 = s1 = s2 = s3 = np.float32(0)
    for c in range(own.shape[0]):
        v = own[c]
        s0 += w0[c] * v
        s1 += w1[c] * v
        s2 += w2[c] * v
        s3 += w3[c] * v
    return s0, s1, s2, s3


@kernel
def plain_project(weights, values, first, lo, hi, out, partial, at):
    """`project` one row after the other; the sums so far are in `out` itself."""
    for b in range(first, first + 4):
        if lo == 0:
            out[b, : weights.shape[0]] = 0
        for r in range(0, weights.shape[0], 4):
            s0, s1, s2, s3 = project_four(weights, r, values[b], lo, hi)
            out[b, r] += s0
            out[b, r + 1] += s1
            out[b, r + 2] += s2
            out[b, r + 3] += s3


@kernel
def load_four(partial, row):
    """Four vectors one below the other."""
    return (
        vectors.load(partial, row, 0),
        vectors.load(partial, row + 1, 0),
        vectors.load(partial, row + 2, 0),
        vectors.load(partial, row + 3, 0),
    )


@kernel
def store_four(partial, row, a, b, c, d):
    """Write four vectors one below the other."""
    vectors.store(partial, row, 0, a)
    vectors.store(partial, row + 1, 0, b)
    vectors.store(partial, row + 2, 0, c)
    vectors.store(partial, row + 3, 0, d)


@kernel
def vector_project(weights, values, first, lo, hi, out, partial, at):
    """`project` with four rows of each side in registers."""
    zero = vectors.splat(np.float32(0))
    b0, b1, b2, b3 = first, first + 1, first + 2, first + 3
    for r in range(0, weights.shape[0], 4):
        p = at + 4 * r
        if lo == 0:
            s00 = s01 = s02 = s03 = zero
            s10 = s11 = s12 = s13 = zero
            s20 = s21 = s22 = s23 = zero
            s30 = s31 = s32 = s33 = zero
        else:
            s00, s01, s02, s03 = load_four(partial, p)
            s10, s11, s12, s13 = load_four(partial, p + 4)
            s20, s21, s22, s23 = load_four(partial, p + 8)
            s30, s31, s32, s33 = load_four(partial, p + 12)
        for c in range(lo, hi, WIDTH):
            w0, w1 = vectors.load(weights, r, c), vectors.load(weights, r + 1, c)
            w2, w3 = vectors.load(weights, r + 2, c), vectors.load(weights, r + 3, c)
            v = vectors.load(values, b0, c)
            s00, s01 = vectors.fma(w0, v, s00), vectors.fma(w1, v, s01)
            s02, s03 = vectors.fma(w2, v, s02), vectors.fma(w3, v, s03)
            v = vectors.load(values, b1, c)
            s10, s11 = vectors.fma(w0, v, s10), vectors.fma(w1, v, s11)
            s12, s13 = vectors.fma(w2, v, s12), vectors.fma(w3, v, s13)
            v = vectors.load(values, b2, c)
            s20, s21 = vectors.fma(w0, v, s20), vectors.fma(w1, v, s21)
            s22, s23 = vectors.fma(w2, v, s22), vectors.fma(w3, v, s23)
            v = vectors.load(values, b3, c)
            s30, s31 = vectors.fma(w0, v, s30), vectors.fma(w1, v, s31)
            s32, s33 = vectors.fma(w2, v, s32), vectors.fma(w3, v, s33)
        if hi == weights.shape[1]:
            vectors.store_totals(out, b0, r, s00, s01, s02, s03)
            vectors.store_totals(out, b1, r, s10, s11, s12, s13)
            vectors.store_totals(out, b2, r, s20, s21, s22, s23)
            vectors.store_totals(out, b3, r, s30, s31, s32, s33)
        else:
            store_four(partial, p, s00, s01, s02, s03)
            store_four(partial, p + 4, s10, s11, s12, s13)
            store_four(partial, p + 8, s20, s21, s22, s23)
            store_four(partial, p + 12, s30, s31, s32, s33)


# out[b, r] = weights[r] · values[b] for b = first … first+3 and all rows r of `weights`, a multiple of four.
# The columns lo … hi−1, whole vectors, are added to what those before lo left in the rows of `partial`
# (≥ at + 4 R, 16) from `at` on; `out` is complete when hi is the last column.
project = vector_project if vectors.USABLE else plain_project
