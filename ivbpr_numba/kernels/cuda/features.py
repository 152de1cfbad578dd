"""Reading stored feature rows: float16, uint8 or float32, never converted in bulk.

Beside sparse features `project_sparse_items` and `weigh_sparse_items` of `sparse_rows` do the same.
"""

import numpy as np

from ivbpr_numba.kernels.cuda.target import cuda, kernel, launch, open_shape, spread
from ivbpr_numba.kernels.cuda.visual import as_numbers

__all__ = ["column_statistics", "project_items"]

ITEMS = 16  # items that a block projects together
ROWS = 16  # rows of the weights at a time
DEPTH = 64  # columns in shared memory at a time
EACH = 4  # rows of the weights that a thread sums for one item
PARTS = 64  # sums that make up one over items
ZERO = np.float32(0)
THREADS = ITEMS * ROWS // EACH
PROJECT = "void({}[:,::1], i8[::1], f4[:,::1], f4[::1], f4[:,::1])"
STATISTICS = "void({}[:,::1], i8[::1], f8[:,::1], f8[:,::1], f4[:,::1], i8[:,::1])"


@kernel(*(PROJECT.format(stored) for stored in ("f2", "u1", "f4")))
def project_rows(matrix, rows, weights, offsets, out):
    """ITEMS items for each block of threads; a sum runs over the columns in order, whoever computes it."""
    values = cuda.shared.array((DEPTH, ITEMS), np.float32)
    table = cuda.shared.array((DEPTH, ROWS), np.float32)
    place, threads = cuda.threadIdx.x, cuda.blockDim.x
    columns, height = matrix.shape[1], weights.shape[0]
    for first in range(cuda.blockIdx.x * ITEMS, rows.shape[0], cuda.gridDim.x * ITEMS):
        for row in range(0, height, ROWS):
            for own in range(place, THREADS, threads):
                n, r = first + own % ITEMS, row + own // ITEMS * EACH
                s0, s1, s2, s3 = ZERO, ZERO, ZERO, ZERO
                for left in range(0, columns, DEPTH):
                    depth = min(DEPTH, columns - left)
                    cuda.syncthreads()
                    for m in range(place, ITEMS * DEPTH, threads):
                        c, item = m % DEPTH, m // DEPTH
                        if c < depth and first + item < rows.shape[0]:
                            values[c, item] = np.float32(matrix[rows[first + item], left + c])
                        else:
                            values[c, item] = ZERO
                        inside = c < depth and row + item < height
                        table[c, item] = weights[row + item, left + c] if inside else ZERO
                    cuda.syncthreads()
                    for c in range(depth):
                        v = values[c, own % ITEMS]
                        at = own // ITEMS * EACH
                        s0 += table[c, at] * v
                        s1 += table[c, at + 1] * v
                        s2 += table[c, at + 2] * v
                        s3 += table[c, at + 3] * v
                if n < rows.shape[0]:
                    if r < offsets.shape[0]:
                        out[n, r] = s0 + offsets[r]
                    if r + 1 < offsets.shape[0]:
                        out[n, r + 1] = s1 + offsets[r + 1]
                    if r + 2 < offsets.shape[0]:
                        out[n, r + 2] = s2 + offsets[r + 2]
                    if r + 3 < offsets.shape[0]:
                        out[n, r + 3] = s3 + offsets[r + 3]
        cuda.syncthreads()


def project_items(matrix, rows, weights, offsets, out, shape=None):
    """Project the features of many items: out[n] = weights · v_rows[n] + offsets.

    Parameters
    ----------
    matrix : (M, F) uint16, uint8 or float32
    rows : (N,) int64, row of each item
    weights : (R, P) float32, scaled embedding with P ≥ F zero-padded columns, R a multiple of 4
    offsets : (R,) float32
    out : (N, R) float32, filled
    shape : Shape, optional
        Of threads that divide 64.
    """
    blocks = max(1, min(-(-rows.shape[0] // ITEMS), 1 << 16))
    launch(
        project_rows, shape or open_shape(blocks, THREADS), as_numbers(matrix), rows, weights, offsets, out
    )


@kernel(
    *(STATISTICS.format(stored) for stored in ("f2", "u1", "f4")),
    double="sums over all items, once a fit: a mean and a variance of 1.4 million numbers need float64",
)
def sum_parts(matrix, rows, sums, squares, largest, positive):
    """Statistics of a column over one of PARTS stretches of the items, for each thread."""
    columns = matrix.shape[1]
    for n in range(cuda.grid(1), PARTS * columns, cuda.gridsize(1)):
        part, c = n // columns, n % columns
        total, square, most, count = 0.0, 0.0, ZERO, np.int64(0)
        for m in range(part * rows.shape[0] // PARTS, (part + 1) * rows.shape[0] // PARTS):
            v = np.float32(matrix[rows[m], c])
            total += v
            square += np.float64(v) * np.float64(v)
            most = max(most, abs(v))
            count += 1 if v > ZERO else 0
        sums[part, c] = total
        squares[part, c] = square
        largest[part, c] = most
        positive[part, c] = count


@kernel(
    "void(f8[:,::1], f8[:,::1], f4[:,::1], i8[:,::1], f8[::1], f8[::1], f4[::1], i8[::1])",
    double="as sum_parts",
)
def add_parts(part_sums, part_squares, part_largest, part_positive, sums, squares, largest, positive):
    """Add the stretches up in order; a thread for each column."""
    for c in range(cuda.grid(1), part_sums.shape[1], cuda.gridsize(1)):
        for part in range(PARTS):
            sums[c] += part_sums[part, c]
            squares[c] += part_squares[part, c]
            largest[c] = max(largest[c], part_largest[part, c])
            positive[c] += part_positive[part, c]


def column_statistics(matrix, rows, sums, squares, largest, positive, shape=None):
    """Per column over `rows`: Σv, Σv² (float64), max |v| and the number of v > 0, in stored units."""
    columns = matrix.shape[1]
    made = [
        cuda.device_array((PARTS, columns), kind) for kind in (np.float64, np.float64, np.float32, np.int64)
    ]
    own = spread(PARTS * columns, 128, shape)
    launch(sum_parts, own, as_numbers(matrix), rows, *made)
    launch(add_parts, own, *made, sums, squares, largest, positive)
