"""SGD of the models in time on blocks of triples of one epoch (model specification 2.6, "Blocks in time").

The model of one epoch is a VBPR with E_t = w(t) ⊙ E + ΔE(t) and β_t = b(t) ⊙ β + Δβ(t). Each block builds
that table once, projects and moves user and item factors with it like `visual`, and then forms U = Σ d θ Δᵀ
and v = Σ d Δ, from which every gradient follows. All numbers are summed in a fixed order.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, BlockSums, Drift, EpochTables, Scratch
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.block_sums import column_shrink, summed
from ivbpr_numba.kernels.cpu.blocks import (
    COLUMN_TILE,
    is_small,
    moves_alone,
    part_of,
    parts,
    room_for,
    sums_for,
)
from ivbpr_numba.kernels.cpu.rounds import rounds_shared, strips_alone

__all__ = ["temporal_epoch"]


@kernel
def build_columns(embedding, epoch, visual, lo, hi):
    """The table of the epoch times the multiplier, for the columns lo … hi−1."""
    multiplier, bias_weight = embedding.multiplier[lo:hi], epoch.bias_weight[lo:hi]
    for r in range(visual + 1):
        values, scaled, drift = embedding.values[r, lo:hi], embedding.scaled[r, lo:hi], epoch.drift[r, lo:hi]
        if r < visual:
            weight = epoch.weight[r]
            for c in range(hi - lo):
                scaled[c] = (weight * values[c] + drift[c]) * multiplier[c]
        else:
            for c in range(hi - lo):
                scaled[c] = (bias_weight[c] * values[c] + drift[c]) * multiplier[c]


# The sum over a tile's columns may be reordered by the compiler: finite inputs, no guards.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def along(values, moves):
    """values · moves in float64."""
    total = 0.0
    for c in range(values.shape[0]):
        total += np.float64(values[c]) * np.float64(moves[c])
    return total


@kernel
def move_epoch_columns(embedding, epoch, sums, visual, lo, hi, rate, row_sums):
    """Move E, β, ΔE(t), Δβ(t), b(t) in the columns lo … hi−1, all from old values; row_sums[r] = Σ_c E U."""
    multiplier, shrink = embedding.multiplier[lo:hi], column_shrink(sums, embedding.multiplier, lo, hi)
    for r in range(visual):
        values, drift, weight = embedding.values[r, lo:hi], epoch.drift[r, lo:hi], epoch.weight[r]
        moves = summed(sums, r, lo, hi)
        for c in range(hi - lo):
            moves[c] *= multiplier[c]
        row_sums[r] = along(values, moves)
        for c in range(hi - lo):
            values[c] += rate * (weight * moves[c])
            drift[c] = drift[c] * shrink[c] + rate * moves[c]
    values, drift = embedding.values[visual, lo:hi], epoch.drift[visual, lo:hi]
    moves, weight = summed(sums, visual, lo, hi), epoch.bias_weight[lo:hi]
    for c in range(hi - lo):
        v, beta, b = multiplier[c] * moves[c], values[c], weight[c]
        values[c] = beta + rate * (b * v)
        weight[c] = b * shrink[c] + rate * (beta * v)
        drift[c] = drift[c] * shrink[c] + rate * v


@kernel
def of_epoch(table, e):
    """The row of an epoch; nothing of a table without rows."""
    return table[e] if table.shape[0] > 0 else np.empty(0, np.float32)


@kernel
def move_weight(weight, row_sums, size, visual, rate, decay):
    """w(t) ← w(t) (1 − η λ)ⁿ + η rowsum(E ⊙ U), the tiles added in order."""
    shrink = max(1.0 - np.float64(rate) * np.float64(decay), 0.0) ** size
    for r in range(visual):
        along = 0.0
        for tile in range(row_sums.shape[0]):
            along += row_sums[tile, r]
        weight[r] = np.float32(weight[r] * shrink + rate * along)


@kernel(parallel=True)
def temporal_epoch(triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift, threads):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int64
        Most triples of a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Rows of `scaled` beyond β are zero; the others are overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift
    threads : int64
        In use: they decide who does what, not what comes out.

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    visual = sizes.visual
    width, scaled = embedding.values.shape[1], embedding.scaled
    differences, projections, pulls = room_for(block, embedding.values)
    scratch = Scratch(differences, projections, pulls)
    pulled, shares, powers = sums_for(block, embedding.values, rates)
    sums = BlockSums(pulled, shares, powers)
    tiles, together = parts(width, COLUMN_TILE), moves_alone(embedding.values)
    row_sums = np.zeros((tiles, visual))
    loss = 0.0
    for k in range(plan.epochs.shape[0]):
        first, e = plan.starts[k], plan.epochs[k]
        now = Block(first, plan.starts[k + 1] - first)
        epoch = EpochTables(epochs.weight[e], epochs.drift[e], epochs.bias_weight[e])
        biases = Drift(of_epoch(drift.own, e), of_epoch(drift.shared, e), drift.category)
        if together:
            build_columns(embedding, epoch, visual, 0, width)
        else:
            for tile in prange(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                build_columns(embedding, epoch, visual, lo, hi)
        if is_small(now.size, width, visual + 1):
            loss += strips_alone(
                triples, now, 0, features, tables, scaled, sizes, scratch, sums, rates, biases
            )
        else:
            loss += rounds_shared(
                triples, now, features, tables, scaled, sizes, scratch, sums, rates, biases, threads
            )
        if together:
            for tile in range(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                move_epoch_columns(embedding, epoch, sums, visual, lo, hi, rates.visual_step, row_sums[tile])
        else:
            for tile in prange(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                move_epoch_columns(embedding, epoch, sums, visual, lo, hi, rates.visual_step, row_sums[tile])
        move_weight(epoch.weight, row_sums, now.size, visual, rates.visual_step, rates.visual)
    return loss
