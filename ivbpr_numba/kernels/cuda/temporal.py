"""SGD of the models in time on blocks of triples of one epoch (model specification 2.6, "Blocks in time").

The steps of `block_kernels` with the table E_t = w(t) ⊙ E + ΔE(t), β_t = b(t) ⊙ β + Δβ(t), built for every
block; U = Σ d θ Δᵀ and v = Σ d Δ move everything that belongs to a column, all from old values.
"""

import math

import numpy as np

from ivbpr_numba.kernels.cuda.block_kernels import Moving, apply_blocks, block_kernel
from ivbpr_numba.kernels.cuda.factor import ZERO
from ivbpr_numba.kernels.cuda.target import cuda, device, kernel, launch, room, spread
from ivbpr_numba.kernels.cuda.visual import DENSE, as_numbers

__all__ = ["IN_TIME", "apply_planned", "temporal_epoch"]


@device
def build_number(embedding, epochs, e, r, c, place, visual):
    """The table of an epoch times the multiplier."""
    values, scaled, multiplier = embedding
    _, weights, drifts, bias_weights = epochs
    times = weights[e, r] if r < visual else bias_weights[e, c]
    scaled[place] = (times * values[place] + drifts[e][place]) * multiplier[c]


@device
def move_in_time(embedding, epochs, e, r, c, place, pull, shrink, rate):
    """Move E or β, ΔE(t) or Δβ(t), b(t); returns E U, 0 where the row is β's."""
    values = embedding[0]
    _, weights, drifts, bias_weights = epochs
    drift, product, old = drifts[e], ZERO, values[place]
    if r < weights.shape[1]:
        product = old * pull
        values[place] = old + rate * (weights[e, r] * pull)
    else:
        b = bias_weights[e, c]
        values[place] = old + rate * (b * pull)
        bias_weights[e, c] = b * shrink + rate * (old * pull)
    drift[place] = drift[place] * shrink + rate * pull
    return product


@device
def move_weight(epochs, e, row_sums, size, visual, rate, log_kept):
    """w(t) ← w(t) (1 − η λ)ⁿ + η rowsum(E ⊙ U): tiles added in order, what rounding lost added again."""
    weight = epochs[1][e]
    shrink = math.exp(np.float32(size) * log_kept) if log_kept != ZERO else np.float32(1)
    for r in range(cuda.threadIdx.x, visual, cuda.blockDim.x):
        total, lost = ZERO, ZERO
        for tile in range(row_sums.shape[0]):
            term = row_sums[tile, r] - lost
            after = total + term
            lost = (after - total) - term
            total = after
        weight[r] = weight[r] * shrink + rate * total


IN_TIME = Moving(move_in_time, build_number, move_weight)
temporal_blocks = block_kernel("temporal_blocks", DENSE, IN_TIME)


@kernel("void(i8[::1], i4[::1])")
def as_int32(values, out):
    """out[n] = values[n]."""
    for n in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[n] = values[n]


def apply_planned(
    made, triples, plan, block, features, columns, tables, embedding, epochs, sizes, rates, drift, shape
):
    """`apply_blocks` of models in time: planned blocks."""
    if triples.users.shape[0] == 0:
        return 0.0
    cuts = room("block cuts", plan.epochs.shape[0] + 1, np.int32)
    launch(as_int32, spread(cuts.shape[0], 256), plan.starts, cuts)
    return apply_blocks(
        made, triples, cuts, block, features, columns, tables, embedding, sizes, rates,
        (plan.epochs, *epochs), drift, shape,
    )  # fmt: skip


def temporal_epoch(
    triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift, threads=0, shape=None
):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int
        Most triples of a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Rows of `scaled` beyond β are zero; the others are overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift
    threads : int
        Of no use here; the CPU's.
    shape : Shape, optional

    Returns
    -------
    float
        Summed loss of the triples at the time they were applied.
    """
    matrix = as_numbers(features.matrix)
    return apply_planned(
        temporal_blocks, triples, plan, block, (matrix, features.rows), matrix.shape[1], tables, embedding,
        epochs, sizes, rates, drift, shape,
    )  # fmt: skip
