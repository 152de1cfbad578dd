"""Reading stored feature rows: float16 (as uint16 bits), uint8 or float32, never converted in bulk."""

import numpy as np
from numba import prange, types
from numba.extending import overload

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["column_statistics", "decode", "feature_differences", "project_items"]


def decode(stored):
    """Value of one stored number as float32; float16 arrives as its uint16 bits."""
    raise NotImplementedError("compiled code only")


@overload(decode)
def _decode(stored):
    if stored == types.uint16:

        def half(stored):
            # Shifting the exponent field of a half into a float scales every finite value,
            # subnormals included, by exactly 2⁻¹¹².
            bits = (np.uint32(stored & np.uint16(0x7FFF)) << np.uint32(13)) | (
                np.uint32(stored & np.uint16(0x8000)) << np.uint32(16)
            )
            return np.uint32(bits).view(np.float32) * np.float32(2.0**112)

        return half
    if stored in (types.uint8, types.float32):
        return lambda stored: np.float32(stored)
    return None


@kernel
def plain_differences(matrix, row_i, row_j, start, out):
    """`feature_differences` of the columns from `start` on."""
    values_i, values_j = matrix[row_i], matrix[row_j]
    for c in range(start, matrix.shape[1]):
        out[c] = decode(values_i[c]) - decode(values_j[c])


if vectors.HALF_USABLE:

    @kernel
    def feature_differences(matrix, row_i, row_j, out):
        """out[c] = v_ic − v_jc in stored units; columns beyond the matrix stay untouched (zero)."""
        whole = matrix.shape[1] // WIDTH * WIDTH
        for c in range(0, whole, WIDTH):
            value_i = vectors.load_stored(matrix, row_i, c)
            value_j = vectors.load_stored(matrix, row_j, c)
            vectors.store(out, 0, c, vectors.sub(value_i, value_j))
        plain_differences(matrix, row_i, row_j, whole, out)

else:

    @kernel
    def feature_differences(matrix, row_i, row_j, out):
        """out[c] = v_ic − v_jc in stored units; columns beyond the matrix stay untouched (zero)."""
        plain_differences(matrix, row_i, row_j, 0, out)


# Sums over features may be reordered by the compiler: finite inputs, no guards.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def project_four(weights, r, values):
    """Four dot products of `values` with the rows r … r+3 of `weights`, sharing every load."""
    w0, w1, w2, w3 = weights[r], weights[r + 1], weights[r + 2], weights[r + 3]
    s0 = s1 = s2 = s3 = np.float32(0)
    for c in range(weights.shape[1]):
        v = values[c]
        s0 += w0[c] * v
        s1 += w1[c] * v
        s2 += w2[c] * v
        s3 += w3[c] * v
    return s0, s1, s2, s3


@kernel
def plain_project(weights, values, first, out):
    """`project` one row after the other."""
    for b in range(first, first + 4):
        for r in range(0, weights.shape[0], 4):
            found = project_four(weights, r, values[b])
            out[b, r], out[b, r + 1], out[b, r + 2], out[b, r + 3] = found


@kernel
def vector_project(weights, values, first, out):
    """`project` with four rows of each side in registers."""
    zero = vectors.splat(np.float32(0))
    b0, b1, b2, b3 = first, first + 1, first + 2, first + 3
    for r in range(0, weights.shape[0], 4):
        s00 = s01 = s02 = s03 = zero
        s10 = s11 = s12 = s13 = zero
        s20 = s21 = s22 = s23 = zero
        s30 = s31 = s32 = s33 = zero
        for c in range(0, weights.shape[1], WIDTH):
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
        out[b0, r], out[b0, r + 1] = vectors.total(s00), vectors.total(s01)
        out[b0, r + 2], out[b0, r + 3] = vectors.total(s02), vectors.total(s03)
        out[b1, r], out[b1, r + 1] = vectors.total(s10), vectors.total(s11)
        out[b1, r + 2], out[b1, r + 3] = vectors.total(s12), vectors.total(s13)
        out[b2, r], out[b2, r + 1] = vectors.total(s20), vectors.total(s21)
        out[b2, r + 2], out[b2, r + 3] = vectors.total(s22), vectors.total(s23)
        out[b3, r], out[b3, r + 1] = vectors.total(s30), vectors.total(s31)
        out[b3, r + 2], out[b3, r + 3] = vectors.total(s32), vectors.total(s33)


# out[b, r] = weights[r] · values[b] for b = first … first+3 and all rows r, a multiple of four; the columns
# are whole vectors.
project = vector_project if vectors.USABLE else plain_project


@kernel(parallel=True)
def project_items(matrix, rows, weights, offsets, out):
    """Project the features of many items: out[n] = weights · v_rows[n] + offsets.

    Parameters
    ----------
    matrix : (M, F) uint16, uint8 or float32
    rows : (N,) int64, row of each item
    weights : (R, P) float32, scaled embedding with P ≥ F zero-padded columns, R a multiple of 4
    offsets : (R,) float32
    out : (N, R) float32, filled
    """
    width = weights.shape[1]
    chunks = min(rows.shape[0], 64)
    for chunk in prange(chunks):
        values = np.zeros((4, width), np.float32)
        projected = np.zeros((4, weights.shape[0]), np.float32)
        last = (chunk + 1) * rows.shape[0] // chunks
        for first in range(chunk * rows.shape[0] // chunks, last, 4):
            n = min(4, last - first)
            for b in range(n):
                stored = matrix[rows[first + b]]
                for c in range(matrix.shape[1]):
                    values[b, c] = decode(stored[c])
            project(weights, values, 0, projected)
            for b in range(n):
                for r in range(offsets.shape[0]):
                    out[first + b, r] = projected[b, r] + offsets[r]


@kernel(parallel=True)
def column_statistics(matrix, rows, sums, squares, largest, positive):
    """Per column over `rows`: Σv, Σv² (float64), max |v| and the number of v > 0, in stored units."""
    columns = matrix.shape[1]
    strips = (columns + 31) // 32
    for strip in prange(strips):
        lo, hi = strip * 32, min(strip * 32 + 32, columns)
        for n in range(rows.shape[0]):
            stored = matrix[rows[n]]
            for c in range(lo, hi):
                v = decode(stored[c])
                sums[c] += v
                squares[c] += np.float64(v) * v
                largest[c] = max(largest[c], abs(v))
                positive[c] += v > 0
