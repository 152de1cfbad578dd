"""SGD of the visual models on blocks of triples (model specification 2.6), see `block_kernels`."""

import numpy as np

from ivbpr_numba.kernels.cuda.block_kernels import Moving, Reading, apply_blocks, block_kernel
from ivbpr_numba.kernels.cuda.block_steps import TRIPLES, project_differences
from ivbpr_numba.kernels.cuda.factor import ZERO
from ivbpr_numba.kernels.cuda.schedule import even_cuts
from ivbpr_numba.kernels.cuda.target import cuda, device

__all__ = ["DENSE", "STILL", "apply_evenly", "as_numbers", "visual_epoch"]


def as_numbers(matrix):
    """Stored features as CUDA reads them: bits of float16 as float16, which it converts itself."""
    return matrix.view(np.float16) if matrix.dtype == np.uint16 else matrix


@device
def read_dense(features, positives, negatives, first, size, base, table, height, partial, differences, out):
    """Differences v_i − v_j in stored units of TRIPLES triples, and their products."""
    matrix, rows = features
    for b in range(base, min(base + TRIPLES, size)):
        row_i, row_j = rows[positives[first + b]], rows[negatives[first + b]]
        for c in range(cuda.threadIdx.x, matrix.shape[1], cuda.blockDim.x):
            differences[b, c] = np.float32(matrix[row_i, c]) - np.float32(matrix[row_j, c])
    cuda.syncthreads()
    project_differences(table, differences, size, base, height, partial, out)


@device
def factor_first(r, c):
    """A row of the table is a factor."""
    return r, c


@device
def move_still(embedding, epochs, e, r, c, place, pull, shrink, rate):
    """E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    values, scaled, multiplier = embedding
    moved = values[place] * shrink + rate * pull
    values[place] = moved
    scaled[place] = moved * multiplier[c]
    return ZERO


DENSE = Reading(
    read_dense, factor_first, tuple(f"Tuple(({stored}[:,::1], i8[::1]))" for stored in ("f2", "u1", "f4"))
)
STILL = Moving(move_still)
visual_blocks = block_kernel("visual_blocks", DENSE, STILL)


def visual_epoch(triples, block, features, tables, embedding, sizes, rates, threads=0, shape=None):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int
        B, triples to a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
    sizes : Sizes
    rates : Rates
    threads : int
        Of no use here; the CPU's.
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    matrix = as_numbers(features.matrix)
    return apply_evenly(
        visual_blocks, triples, block, (matrix, features.rows), matrix.shape[1], tables, embedding, sizes,
        rates, shape,
    )  # fmt: skip


def apply_evenly(made, triples, block, features, columns, tables, embedding, sizes, rates, shape):
    """`apply_blocks` of models that are not in time: blocks of so many triples."""
    n = triples.users.shape[0]
    if n == 0:
        return 0.0
    cuts = cuda.to_device(even_cuts(n, block))
    return apply_blocks(
        made, triples, cuts, block, features, columns, tables, embedding, sizes, rates, None, None, shape
    )
