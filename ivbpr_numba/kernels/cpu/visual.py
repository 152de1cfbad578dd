"""SGD of the visual models on blocks of triples (model specification 2.6).

Within a block the embedding E and the visual bias β stand still: (1) every triple's feature
difference is read and projected, (2) the user–item part moves triple by triple, (3) E and β move
once by the sum over the block. Steps 1 and 3 run in parallel over triples and over columns (`rounds`);
each number is summed by one thread in a fixed order, so the bits don't depend on the thread count.

E and β share one table, and `scaled`, the same times the feature multiplier, acts on stored values: the
feature matrix is never converted (see `arguments.EmbeddingTable`).
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, BlockSums, Drift, Scratch
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

__all__ = ["visual_epoch", "visual_epoch_racing"]


@kernel
def no_drift():
    """Item biases stand still in time; the arrays of a `Drift`."""
    nothing = np.empty(0, np.float32)
    return nothing, nothing, np.empty(0, np.int64)


@kernel
def move_columns(embedding, sums, height, lo, hi, rate):
    """Step 3 for the columns lo … hi−1: E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    multiplier = embedding.multiplier[lo:hi]
    shrink = column_shrink(sums, embedding.multiplier, lo, hi)
    for r in range(height):
        values, scaled = embedding.values[r, lo:hi], embedding.scaled[r, lo:hi]
        total = summed(sums, r, lo, hi)
        for c in range(hi - lo):
            moved = values[c] * shrink[c] + rate * (multiplier[c] * total[c])
            values[c] = moved
            scaled[c] = moved * multiplier[c]


@kernel
def one_block(triples, block, features, tables, embedding, sizes, scratch, sums, rates, drift):
    """All three steps of one block on one thread; returns the block's loss."""
    scaled = embedding.scaled
    loss = strips_alone(triples, block, 0, features, tables, scaled, sizes, scratch, sums, rates, drift)
    move_columns(embedding, sums, sizes.visual + 1, 0, embedding.values.shape[1], rates.visual_step)
    return loss


@kernel(parallel=True)
def visual_epoch(triples, block, features, tables, embedding, sizes, rates, threads):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    triples : Triples
    block : int64
        B, triples to a block.
    features : StoredFeatures
    tables : VisualTables
    embedding : EmbeddingTable
    sizes : Sizes
    rates : Rates
    threads : int64
        In use: they decide who does what, not what comes out.

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    block = min(block, max(n, 1))  # no more room than triples
    width, height = embedding.values.shape[1], sizes.visual + 1
    differences, projections, pulls = room_for(block, embedding.values)
    scratch = Scratch(differences, projections, pulls)
    pulled, shares, powers = sums_for(block, embedding.values, rates)
    sums = BlockSums(pulled, shares, powers)
    own, shared, category = no_drift()
    drift = Drift(own, shared, category)
    alone = is_small(block, width, height)
    loss = 0.0
    for first in range(0, n, block):
        now = Block(first, min(block, n - first))
        if alone:
            loss += one_block(triples, now, features, tables, embedding, sizes, scratch, sums, rates, drift)
            continue
        loss += rounds_shared(
            triples, now, features, tables, embedding.scaled, sizes, scratch, sums, rates, drift, threads
        )
        if moves_alone(embedding.values):
            move_columns(embedding, sums, height, 0, width, rates.visual_step)
            continue
        for task in prange(parts(width, COLUMN_TILE)):
            lo, hi = part_of(task, width, COLUMN_TILE)
            move_columns(embedding, sums, height, lo, hi, rates.visual_step)
    return loss


@kernel(parallel=True)
def visual_epoch_racing(triples, block, features, tables, embedding, sizes, rates, racers):
    """Hogwild: `racers` runs of blocks side by side over shared tables; arguments as `visual_epoch`."""
    n = triples.users.shape[0]
    block = min(block, max(n, 1))
    blocks = parts(n, block)
    losses = np.zeros(racers)
    for racer in prange(racers):
        differences, projections, pulls = room_for(block, embedding.values)
        scratch = Scratch(differences, projections, pulls)
        pulled, shares, powers = sums_for(block, embedding.values, rates)
        sums = BlockSums(pulled, shares, powers)
        own, shared, category = no_drift()
        drift = Drift(own, shared, category)
        for k in range(racer * blocks // racers, (racer + 1) * blocks // racers):
            now = Block(k * block, min(block, n - k * block))
            losses[racer] += one_block(
                triples, now, features, tables, embedding, sizes, scratch, sums, rates, drift
            )
    return losses.sum()
