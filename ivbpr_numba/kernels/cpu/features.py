"""Reading stored feature rows: float16 (as uint16 bits), uint8 or float32, never converted in bulk."""

import numpy as np
from numba import prange, types
from numba.extending import overload

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.projection import project
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
def plain_differences(matrix, row_i, row_j, start, stop, out):
    """`feature_differences` with plain loops."""
    values_i, values_j = matrix[row_i], matrix[row_j]
    for c in range(start, min(stop, matrix.shape[1])):
        out[c] = decode(values_i[c]) - decode(values_j[c])


if vectors.HALF_USABLE:

    @kernel
    def feature_differences(matrix, row_i, row_j, start, stop, out):
        """out[c] = v_ic − v_jc in stored units for the columns start … stop−1.

        A vector begins at `start`; columns beyond the matrix stay untouched (zero).
        """
        whole = min(stop, matrix.shape[1]) // WIDTH * WIDTH
        for c in range(start, whole, WIDTH):
            vectors.store(out, 0, c, vectors.difference_stored(matrix, row_i, row_j, c))
        plain_differences(matrix, row_i, row_j, whole, stop, out)

else:
    feature_differences = plain_differences


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
    nothing = np.empty((0, WIDTH), np.float32)  # all columns at once leave no sums behind
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
            project(weights, values, 0, 0, width, projected, nothing, 0)
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
