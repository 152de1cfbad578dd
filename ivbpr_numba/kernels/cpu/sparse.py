"""SGD of the visual models on features that are mostly zero (model specification 2.6).

The block rule of `visual` and `temporal`, and up to rounding their parameters; `sparse_rows` tells of the
table of E and β.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import Block, Drift, EpochTables
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.blocks import decay_powers, parts
from ivbpr_numba.kernels.cpu.sparse_block import sparse_block
from ivbpr_numba.kernels.cpu.sparse_epochs import build_rows, move_epoch_rows
from ivbpr_numba.kernels.cpu.sparse_rows import move_rows, room_for_sums

__all__ = ["sparse_epoch", "sparse_epoch_racing", "sparse_temporal_epoch"]


@kernel
def run_blocks(triples, block, first, last, features, tables, embedding, sizes, rates):
    """Apply the triples first … last−1 in blocks, in order."""
    gains, differences = room_for_sums(embedding.values), np.zeros(embedding.values.shape[0], np.float32)
    kept = decay_powers(rates.visual_step, rates.visual, block)
    nothing = np.empty(0, np.float32)
    drift = Drift(nothing, nothing, np.empty(0, np.int64))
    loss = 0.0
    for start in range(first, last, block):
        own = Block(start, min(block, last - start))
        loss += sparse_block(
            triples, own, features, tables, embedding.scaled, sizes, rates, drift, gains, differences
        )
        move_rows(embedding, gains, sizes.visual, rates.visual_step, kept)
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
    gains, differences = room_for_sums(embedding.values), np.zeros(embedding.values.shape[0], np.float32)
    kept = decay_powers(rates.visual_step, rates.visual, block)
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
        loss += sparse_block(
            triples, own, features, tables, embedding.scaled, sizes, rates, now, gains, differences
        )
        move_epoch_rows(embedding, epoch, gains, sizes.visual, rates.visual_step, kept, size)
    return loss
