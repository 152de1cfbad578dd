"""SGD of the models in time on blocks of triples of one epoch (model specification 2.6, "Blocks in time").

The model of one epoch is a VBPR with E_t = w(t) ⊙ E + ΔE(t) and β_t = b(t) ⊙ β + Δβ(t). Each block builds
that table once, projects and moves user and item factors with it like `visual`, and then forms U = Σ d θ Δᵀ
and v = Σ d Δ, from which every gradient follows. All numbers are summed in a fixed order.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, Drift, EpochTables, Scratch
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.block_factors import move_factors, plain_factors
from ivbpr_numba.kernels.cpu.block_sums import block_sums, column_shrink
from ivbpr_numba.kernels.cpu.blocks import (
    COLUMN_TILE,
    TRIPLE_TILE,
    clear_rest,
    is_small,
    part_of,
    parts,
    room_for,
)
from ivbpr_numba.kernels.cpu.visual import project_triples

__all__ = ["find_pairs", "temporal_epoch"]


@kernel(parallel=True)
def find_pairs(triples, pairs, out):
    """Position in the training pairs of every triple's user and positive item, into out (T,) int64."""
    users, positives = triples.users, triples.positives
    indptr, indices = pairs
    for n in prange(users.shape[0]):
        lo, hi = indptr[users[n]], indptr[users[n] + 1]
        while lo < hi:
            mid = (lo + hi) >> 1
            if indices[mid] < positives[n]:
                lo = mid + 1
            else:
                hi = mid
        out[n] = lo


@kernel
def build_columns(embedding, epoch, visual, lo, hi):
    """The table of the epoch times the multiplier, for the columns lo … hi−1."""
    values, scaled, multiplier = embedding
    weight, drift, bias_weight = epoch
    for r in range(visual):
        for c in range(lo, hi):
            scaled[r, c] = (weight[r] * values[r, c] + drift[r, c]) * multiplier[c]
    for c in range(lo, hi):
        scaled[visual, c] = (bias_weight[c] * values[visual, c] + drift[visual, c]) * multiplier[c]


@kernel
def move_epoch_columns(embedding, epoch, scratch, size, visual, lo, hi, rates, row_sums):
    """Move E, β, ΔE(t), Δβ(t), b(t) in the columns lo … hi−1, all from old values; row_sums[r] = Σ_c E U."""
    values, multiplier = embedding.values, embedding.multiplier
    differences, rate = scratch.differences, rates.step
    weight, drift, bias_weight = epoch
    total = np.zeros((values.shape[0], hi - lo), np.float32)
    block_sums(total, scratch.pulls, differences, size, lo, hi)
    shrink = column_shrink(multiplier, differences, size, lo, hi, rate, rates.visual)
    for r in range(visual):
        along = 0.0
        for c in range(lo, hi):
            u = multiplier[c] * total[r, c - lo]
            old = values[r, c]
            along += np.float64(old) * np.float64(u)
            values[r, c] = old + rate * (weight[r] * u)
            drift[r, c] = drift[r, c] * shrink[c - lo] + rate * u
        row_sums[r] = along
    for c in range(lo, hi):
        v = multiplier[c] * total[visual, c - lo]
        beta, b = values[visual, c], bias_weight[c]
        values[visual, c] = beta + rate * (b * v)
        bias_weight[c] = b * shrink[c - lo] + rate * (beta * v)
        drift[visual, c] = drift[visual, c] * shrink[c - lo] + rate * v


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
def temporal_epoch(triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift):
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

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    visual = sizes.visual
    width = embedding.values.shape[1]
    differences, projections, pulls = room_for(block, embedding.values)
    scratch = Scratch(differences, projections, pulls)
    tiles = parts(width, COLUMN_TILE)
    row_sums = np.zeros((tiles, visual))
    loss = 0.0
    for k in range(plan.epochs.shape[0]):
        first, e = plan.starts[k], plan.epochs[k]
        size = plan.starts[k + 1] - first
        epoch = EpochTables(epochs.weight[e], epochs.drift[e], epochs.bias_weight[e])
        alone = is_small(size, width, visual + 1)
        clear_rest(scratch, size)
        if alone:
            build_columns(embedding, epoch, visual, 0, width)
            project_triples(triples, features, embedding.scaled, first, 0, size, scratch)
        else:
            for tile in prange(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                build_columns(embedding, epoch, visual, lo, hi)
            for task in prange(parts(size, TRIPLE_TILE)):
                lo, hi = part_of(task, size, TRIPLE_TILE)
                project_triples(triples, features, embedding.scaled, first, lo, hi, scratch)
        own = Block(first, size)
        if drift.own.shape[0] > 0:
            now = Drift(drift.own[e], drift.shared[e], drift.category)
            loss += plain_factors(triples, own, tables, sizes, scratch, rates, now)
        else:
            loss += move_factors(triples, own, tables, sizes, scratch, rates)
        if alone:
            for tile in range(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                move_epoch_columns(embedding, epoch, scratch, size, visual, lo, hi, rates, row_sums[tile])
        else:
            for tile in prange(tiles):
                lo, hi = part_of(tile, width, COLUMN_TILE)
                move_epoch_columns(embedding, epoch, scratch, size, visual, lo, hi, rates, row_sums[tile])
        move_weight(epoch.weight, row_sums, size, visual, rates.step, rates.visual)
    return loss
