"""SGD of the visual models on blocks of triples (model specification 2.6).

Within a block the embedding E and the visual bias β stand still: (1) every triple's feature
difference is read and projected, (2) the user–item part moves triple by triple, (3) E and β move
once by the sum over the block. Steps 1 and 3 run in parallel over triples and over columns; each
number is summed by one thread in a fixed order, so the bits don't depend on the thread count.

E and β share one table, and `scaled`, the same times the feature multiplier, acts on stored values: the
feature matrix is never converted (see `arguments.EmbeddingTable`).
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, Scratch
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.block_factors import move_factors
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
from ivbpr_numba.kernels.cpu.features import feature_differences, project

__all__ = ["project_triples", "visual_epoch", "visual_epoch_racing"]


@kernel
def project_triples(triples, features, scaled, first, lo, hi, scratch):
    """Step 1 for the block's triples lo … hi−1; `first` is the block's first triple."""
    positives, negatives = triples.positives, triples.negatives
    matrix, rows = features.matrix, features.rows
    differences, projections = scratch.differences, scratch.projections
    line = 64 // matrix.itemsize  # stored numbers in a cache line
    ahead = first + lo
    for four in range(lo, hi, 4):
        # The feature rows of the four triples to come are on their way while these are projected.
        while ahead < min(first + four + 8, positives.shape[0]):
            for c in range(0, matrix.shape[1], line):
                vectors.prefetch(matrix, rows[positives[ahead]], c)
                vectors.prefetch(matrix, rows[negatives[ahead]], c)
            ahead += 1
        for b in range(four, min(four + 4, hi)):
            feature_differences(
                matrix, rows[positives[first + b]], rows[negatives[first + b]], differences[b]
            )
        project(scaled, differences, four, projections)


@kernel
def move_columns(embedding, scratch, size, height, lo, hi, rates):
    """Step 3 for the columns lo … hi−1: E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    values, scaled, multiplier = embedding
    rate = rates.step
    differences = scratch.differences
    total = np.zeros((values.shape[0], hi - lo), np.float32)
    block_sums(total, scratch.pulls, differences, size, lo, hi)
    shrink = column_shrink(multiplier, differences, size, lo, hi, rate, rates.visual)
    for r in range(height):
        for c in range(lo, hi):
            moved = values[r, c] * shrink[c - lo] + rate * (multiplier[c] * total[r, c - lo])
            values[r, c] = moved
            scaled[r, c] = moved * multiplier[c]


@kernel
def one_block(triples, block, features, tables, embedding, sizes, scratch, rates):
    """All three steps of one block on one thread; returns the block's loss."""
    size, width = block.size, embedding.values.shape[1]
    clear_rest(scratch, size)
    project_triples(triples, features, embedding.scaled, block.first, 0, size, scratch)
    loss = move_factors(triples, block, tables, sizes, scratch, rates)
    for task in range(parts(width, COLUMN_TILE)):
        lo, hi = part_of(task, width, COLUMN_TILE)
        move_columns(embedding, scratch, size, sizes.visual + 1, lo, hi, rates)
    return loss


@kernel(parallel=True)
def visual_epoch(triples, block, features, tables, embedding, sizes, rates):
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

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    n = triples.users.shape[0]
    block = min(block, max(n, 1))  # no more room than triples
    width = embedding.values.shape[1]
    height = sizes.visual + 1
    differences, projections, pulls = room_for(block, embedding.values)
    scratch = Scratch(differences, projections, pulls)
    loss = 0.0
    alone = is_small(block, width, height)
    for first in range(0, n, block):
        size = min(block, n - first)
        if alone:
            loss += one_block(triples, Block(first, size), features, tables, embedding, sizes, scratch, rates)
            continue
        clear_rest(scratch, size)
        for task in prange(parts(size, TRIPLE_TILE)):
            lo, hi = part_of(task, size, TRIPLE_TILE)
            project_triples(triples, features, embedding.scaled, first, lo, hi, scratch)
        loss += move_factors(triples, Block(first, size), tables, sizes, scratch, rates)
        for task in prange(parts(width, COLUMN_TILE)):
            lo, hi = part_of(task, width, COLUMN_TILE)
            move_columns(embedding, scratch, size, height, lo, hi, rates)
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
        for k in range(racer * blocks // racers, (racer + 1) * blocks // racers):
            own = Block(k * block, min(block, n - k * block))
            losses[racer] += one_block(triples, own, features, tables, embedding, sizes, scratch, rates)
    return losses.sum()
