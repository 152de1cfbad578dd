"""Steps 1 and 2 of a block, and the sums of step 3 (see `visual`), round by round.

A round is as many of the block's triples as the caches hold differences of; E and β stand still from round
to round. The first half of every round adds to the first of the block's two sums, the rest to the second,
each in the order of the triples: so two threads can add at a time, each the triples that it projected itself,
while the order of every sum is fixed. One thread does the same in strips, so that nothing leaves its cache.
Small blocks use one of the sums.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, Scratch
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.block_factors import move_factors, plain_factors
from ivbpr_numba.kernels.cpu.block_sums import add_sums
from ivbpr_numba.kernels.cpu.blocks import (
    COLUMN_TILE,
    TRIPLE_TILE,
    clear_rest,
    half_of,
    part_of,
    parts,
    round_size,
    strip_size,
)
from ivbpr_numba.kernels.cpu.features import feature_differences
from ivbpr_numba.kernels.cpu.projection import project
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["rounds_shared", "strips_alone"]

TABLE = 12 * 1024  # numbers of the embedding that are read for triple after triple from the innermost caches


@kernel
def project_triples(triples, features, scaled, first, lo, hi, scratch):
    """Step 1 for the rows lo … hi−1 of the scratch; `first` is the triple of its row 0."""
    positives, negatives = triples.positives, triples.negatives
    matrix, rows = features.matrix, features.rows
    differences, projections = scratch.differences, scratch.projections
    height, width = scaled.shape
    columns = max(128, TABLE // height // 128 * 128)  # at a time
    kept = (hi - lo + 3) // 4 * 4 * height if columns < width else 0
    partial = np.empty((kept, WIDTH), np.float32)
    for left in range(0, width, columns):
        right = min(left + columns, width)
        for four in range(lo, hi, 4):
            for b in range(four, min(four + 4, hi)):
                row_i, row_j = rows[positives[first + b]], rows[negatives[first + b]]
                feature_differences(matrix, row_i, row_j, left, right, differences[b])
            at = (four - lo) * height
            project(scaled, differences, four, left, right, projections, partial, at)


@kernel
def factors_of(triples, block, at, tables, sizes, scratch, rates, drift):
    """Step 2 for a strip, which begins at row `at` of the scratch; returns its loss."""
    own = Scratch(scratch.differences[at:], scratch.projections[at:], scratch.pulls[at:])
    if drift.own.shape[0] > 0:
        return plain_factors(triples, block, tables, sizes, own, rates, drift)
    return move_factors(triples, block, tables, sizes, own, rates)


@kernel
def factors_in_strips(triples, first, lo, hi, tables, sizes, scratch, rates, drift, strip):
    """Step 2 for the rows lo … hi−1 of the scratch in the strips, and with the loss, of `strips_alone`."""
    loss = 0.0
    for at in range(lo, hi, strip):
        own = Block(first + at, min(strip, hi - at))
        loss += factors_of(triples, own, at, tables, sizes, scratch, rates, drift)
    return loss


@kernel
def strips_alone(triples, block, which, features, tables, scaled, sizes, scratch, sums, rates, drift):
    """All of some triples on one thread, added to the given one of the sums; returns their loss."""
    width = scaled.shape[1]
    strip = min(strip_size(width), scratch.pulls.shape[0])
    loss = 0.0
    for first in range(block.first, block.first + block.size, strip):
        size = min(strip, block.first + block.size - first)
        project_triples(triples, features, scaled, first, 0, size, scratch)
        loss += factors_of(triples, Block(first, size), 0, tables, sizes, scratch, rates, drift)
        clear_rest(scratch, size)
        add_sums(sums, which, scratch, 0, size, 0, width)
    return loss


@kernel
def rounds_alone(triples, block, features, tables, scaled, sizes, scratch, sums, rates, drift):
    """What `rounds_shared` does, on one thread."""
    turn = round_size(block.size, scaled.shape[1])
    loss = 0.0
    for first in range(block.first, block.first + block.size, turn):
        size = min(turn, block.first + block.size - first)
        middle = half_of(size)
        for which in range(2):
            own = Block(first + which * middle, size - middle if which else middle)
            loss += strips_alone(
                triples, own, which, features, tables, scaled, sizes, scratch, sums, rates, drift
            )
    return loss


@kernel(parallel=True)
def rounds_shared(triples, block, features, tables, scaled, sizes, scratch, sums, rates, drift, threads):
    """Steps 1 and 2 of a block and its sums, on all threads.

    Parameters
    ----------
    triples : Triples
    block : Block
    features : StoredFeatures
    tables : VisualTables
    scaled : (R, P) float32, see `EmbeddingTable`
    sizes : Sizes
    scratch : Scratch
    sums : BlockSums, added to
    rates : Rates
    drift : Drift of the block's epoch
    threads : int64
        In use; one goes about it in another way.

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    if threads == 1:
        return rounds_alone(triples, block, features, tables, scaled, sizes, scratch, sums, rates, drift)
    width = scaled.shape[1]
    turn, strip = round_size(block.size, width), strip_size(width)
    tile, tiles = min(strip, TRIPLE_TILE), parts(width, COLUMN_TILE)
    loss = 0.0
    for first in range(block.first, block.first + block.size, turn):
        size = min(turn, block.first + block.size - first)
        middle = half_of(size)
        for task in prange(parts(size, tile)):
            lo, hi = part_of(task, size, tile)
            project_triples(triples, features, scaled, first, lo, hi, scratch)
        loss += factors_in_strips(triples, first, 0, middle, tables, sizes, scratch, rates, drift, strip)
        loss += factors_in_strips(triples, first, middle, size, tables, sizes, scratch, rates, drift, strip)
        clear_rest(scratch, size)
        for task in prange(2 * tiles):
            which = task // tiles
            left, right = part_of(task % tiles, width, COLUMN_TILE)
            lo, hi = (middle, size) if which else (0, middle)
            add_sums(sums, which, scratch, lo, hi, left, right)
    return loss
