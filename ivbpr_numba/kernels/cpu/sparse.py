"""SGD of the visual models on features that are mostly zero (model specification 2.6).

The block rule of `visual` and `temporal`, and up to rounding their parameters; `sparse_rows` tells of the
table of E and β.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, Drift, EpochTables
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.blocks import parts, shrink_of
from ivbpr_numba.kernels.cpu.sparse_block import sparse_block
from ivbpr_numba.kernels.cpu.sparse_rows import clear_row, move_rows, powers, room_for_sums

__all__ = ["sparse_epoch", "sparse_epoch_racing", "sparse_temporal_epoch"]


@kernel
def run_blocks(triples, block, first, last, features, tables, embedding, sizes, rates):
    """Apply the triples first … last−1 in blocks, in order."""
    gains = room_for_sums(embedding.values)
    kept = powers(rates.step, rates.visual, block)
    nothing = np.empty(0, np.float32)
    drift = Drift(nothing, nothing, np.empty(0, np.int64))
    loss = 0.0
    for start in range(first, last, block):
        own = Block(start, min(block, last - start))
        loss += sparse_block(triples, own, features, tables, embedding.scaled, sizes, rates, drift, gains)
        move_rows(embedding, gains, sizes.visual, rates.step, kept)
    return loss


@kernel
def sparse_epoch(triples, block, features, tables, embedding, sizes, rates):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int64
        B, triples to a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features.
    sizes : Sizes
    rates : Rates

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    block = min(block, max(n, 1))  # no more powers than can be asked for
    return run_blocks(triples, block, 0, n, features, tables, embedding, sizes, rates)


@kernel(parallel=True)
def sparse_epoch_racing(triples, block, features, tables, embedding, sizes, rates, racers):
    """Hogwild: `racers` runs of blocks side by side over shared tables; arguments as `sparse_epoch`."""
    n = triples.users.shape[0]
    block = min(block, max(n, 1))
    blocks = parts(n, block)
    losses = np.zeros(racers)
    for racer in prange(racers):
        first, last = racer * blocks // racers * block, (racer + 1) * blocks // racers * block
        losses[racer] = run_blocks(
            triples, block, first, min(last, n), features, tables, embedding, sizes, rates
        )
    return losses.sum()


@kernel
def build_rows(embedding, epoch, visual):
    """The table of the epoch, E_t = w ⊙ E + ΔE and β_t = b ⊙ β + Δβ, times the multiplier."""
    values, scaled, multiplier = embedding
    weight, drift, bias_weight = epoch
    for r in range(1, values.shape[0]):
        for p in range(visual):
            scaled[r, p] = (weight[p] * values[r, p] + drift[r, p]) * multiplier[r]
        scaled[r, visual] = (bias_weight[r] * values[r, visual] + drift[r, visual]) * multiplier[r]


@kernel
def move_epoch_rows(embedding, epoch, gains, visual, rate, kept, size, along):
    """Move E, β, ΔE(t), Δβ(t), b(t) and w(t) by a block of `size` triples, all from old values.

    `along` (D,) float64 is room for the sums Σ_k E_k U_k, by which w(t) moves.
    """
    values, multiplier = embedding.values, embedding.multiplier
    weight, drift, bias_weight = epoch
    last = gains.shape[1] - 1
    along[:] = 0
    for r in range(1, values.shape[0]):
        if gains[r, last] > 0 and multiplier[r] != 0:
            shrink = shrink_of(kept, gains[r, last], multiplier[r])
            for p in range(visual):
                u, old = multiplier[r] * gains[r, p], values[r, p]
                along[p] += np.float64(old) * np.float64(u)
                values[r, p] = old + rate * (weight[p] * u)
                drift[r, p] = drift[r, p] * shrink + rate * u
            v, beta, b = multiplier[r] * gains[r, visual], values[r, visual], bias_weight[r]
            values[r, visual] = beta + rate * (b * v)
            bias_weight[r] = b * shrink + rate * (beta * v)
            drift[r, visual] = drift[r, visual] * shrink + rate * v
        clear_row(gains, r)
    for p in range(visual):
        weight[p] = np.float32(weight[p] * kept[size] + rate * along[p])


@kernel
def sparse_temporal_epoch(triples, plan, block, features, tables, embedding, epochs, sizes, rates, drift):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    triples : Triples
        In the planned order.
    plan : BlockPlan
    block : int64
        Most triples of a block.
    features : SparseFeatures
    tables : VisualTables
    embedding : EmbeddingTable
        Beside sparse features; `scaled` is overwritten.
    epochs : EpochTables
    sizes : Sizes
    rates : Rates
    drift : Drift

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    gains = room_for_sums(embedding.values)
    kept = powers(rates.step, rates.visual, block)
    along = np.zeros(sizes.visual)
    now = Drift(np.empty(0, np.float32), np.empty(0, np.float32), drift.category)
    loss = 0.0
    for k in range(plan.epochs.shape[0]):
        first, e = plan.starts[k], plan.epochs[k]
        size = plan.starts[k + 1] - first
        epoch = EpochTables(epochs.weight[e], epochs.drift[e], epochs.bias_weight[e])
        build_rows(embedding, epoch, sizes.visual)
        if drift.own.shape[0] > 0:
            now = Drift(drift.own[e], drift.shared[e], drift.category)
        own = Block(first, size)
        loss += sparse_block(triples, own, features, tables, embedding.scaled, sizes, rates, now, gains)
        move_epoch_rows(embedding, epoch, gains, sizes.visual, rates.step, kept, size, along)
    return loss
