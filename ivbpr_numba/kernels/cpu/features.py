"""Reading stored feature rows: float16 (as uint16 bits), uint8 or float32, never converted in bulk."""

import numpy as np
from numba import prange, types
from numba.extending import overload

from ivbpr_numba.kernels.compiling import kernel

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
def feature_differences(matrix, row_i, row_j, out):
    """out[c] = v_ic − v_jc in stored units; columns beyond the matrix stay untouched (zero)."""
    values_i, values_j = matrix[row_i], matrix[row_j]
    for c in range(matrix.shape[1]):
        out[c] = decode(values_i[c]) - decode(values_j[c])


# Sums over features may be reordered by the compiler: finite inputs, no guards.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def project_four(weights, r, values):
    """Four dot products of `values` with the rows r … r+3 of `weights`, sharing every load."""
    w0, w1, w2, w3 = weights[r], weights[r + 1], weights[r + 2], weights[r + 3]
    s0 = s1 = s2 = s3 = np.float32(0)
    for c in range(values.shape[0]):
        v = values[c]
        s0 += w0[c] * v
        s1 += w1[c] * v
        s2 += w2[c] * v
        s3 += w3[c] * v
    return s0, s1, s2, s3


@kernel
def project(weights, values, out):
    """out[r] = weights[r] · values for all rows; the number of rows is a multiple of four."""
    for r in range(0, weights.shape[0], 4):
        out[r], out[r + 1], out[r + 2], out[r + 3] = project_four(weights, r, values)


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
        values = np.zeros(width, np.float32)
        for n in range(chunk * rows.shape[0] // chunks, (chunk + 1) * rows.shape[0] // chunks):
            stored = matrix[rows[n]]
            for c in range(matrix.shape[1]):
                values[c] = decode(stored[c])
            project(weights, values, out[n])
            for r in range(offsets.shape[0]):
                out[n, r] += offsets[r]


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
