"""SGD of the models in time on blocks of triples of one epoch (model specification 2.6, "Blocks in time").

The model of one epoch is a VBPR with E_t = w(t) ⊙ E + ΔE(t) and β_t = b(t) ⊙ β + Δβ(t). Each block builds
that table once, projects and moves user and item factors with it like `visual`, and then forms U = Σ d θ Δᵀ
and v = Σ d Δ, from which every gradient follows. All numbers are summed in a fixed order.

Layout: `embedding` (R, P) as in `visual` (rows of E, then β); `drift` (N, R, P) likewise, ΔE and then Δβ;
`weight` (N, D); `bias_weight` (N, P).
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.vectors import WIDTH
from ivbpr_numba.kernels.cpu.visual import (
    COLUMN_TILE,
    PARALLEL_WORK,
    TRIPLE_TILE,
    block_sums,
    column_shrink,
    move_factors,
    plain_factors,
    project_triples,
)

__all__ = ["RUN_BLOCKS", "find_pairs", "plan_blocks", "temporal_epoch"]

RUN_BLOCKS = 64  # triples are sorted by epoch within runs of so many blocks


@kernel(parallel=True)
def find_pairs(users, positives, indptr, indices, out):
    """Position in the training pairs of every triple's user and positive item."""
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
def plan_blocks(epochs, n_epochs, block, order, starts, block_epochs):
    """Sort triples by epoch, stably, within runs of 64 blocks, and cut them into blocks of one epoch.

    Parameters
    ----------
    epochs : (T,) int64, epoch of each triple in the starting order
    n_epochs, block : int64
    order : (T,) int64, filled: which triple comes at each place
    starts : (≥ blocks + 1,) int64, filled: first place of each block, then T
    block_epochs : (≥ blocks,) int64, filled

    Returns
    -------
    int64
        Number of blocks.
    """
    n = epochs.shape[0]
    count = 0
    offsets = np.zeros(n_epochs + 1, np.int64)
    for first in range(0, n, RUN_BLOCKS * block):
        last = min(n, first + RUN_BLOCKS * block)
        offsets[:] = 0
        for k in range(first, last):
            offsets[epochs[k] + 1] += 1
        for e in range(n_epochs):
            offsets[e + 1] += offsets[e]
        for e in range(n_epochs):
            for begin in range(offsets[e], offsets[e + 1], block):
                starts[count] = first + begin
                block_epochs[count] = e
                count += 1
        for k in range(first, last):
            e = epochs[k]
            order[first + offsets[e]] = k
            offsets[e] += 1
    starts[count] = n
    return count


@kernel
def build_columns(embedding, weight, drift, bias_weight, multiplier, visual, scaled, lo, hi):
    """The epoch's table times the multiplier, for the columns lo … hi−1."""
    for r in range(visual):
        for c in range(lo, hi):
            scaled[r, c] = (weight[r] * embedding[r, c] + drift[r, c]) * multiplier[c]
    for c in range(lo, hi):
        scaled[visual, c] = (bias_weight[c] * embedding[visual, c] + drift[visual, c]) * multiplier[c]


@kernel
def move_epoch_columns(
    embedding,
    weight,
    drift,
    bias_weight,
    multiplier,
    pulls,
    differences,
    size,
    visual,
    lo,
    hi,
    rate,
    decay,
    row_sums,
):
    """Move E, β, ΔE(t), Δβ(t), b(t) in the columns lo … hi−1, all from old values; row_sums[r] = Σ_c E U."""
    total = np.zeros((embedding.shape[0], hi - lo), np.float32)
    block_sums(total, pulls, differences, size, lo, hi)
    shrink = column_shrink(multiplier, differences, size, lo, hi, rate, decay)
    for r in range(visual):
        along = 0.0
        for c in range(lo, hi):
            u = multiplier[c] * total[r, c - lo]
            old = embedding[r, c]
            along += np.float64(old) * np.float64(u)
            embedding[r, c] = old + rate * (weight[r] * u)
            drift[r, c] = drift[r, c] * shrink[c - lo] + rate * u
        row_sums[r] = along
    for c in range(lo, hi):
        v = multiplier[c] * total[visual, c - lo]
        beta, b = embedding[visual, c], bias_weight[c]
        embedding[visual, c] = beta + rate * (b * v)
        bias_weight[c] = b * shrink[c - lo] + rate * (beta * v)
        drift[visual, c] = drift[visual, c] * shrink[c - lo] + rate * v


@kernel
def move_weight(weight, row_sums, size, visual, rate, decay):
    """w(t) ← w(t) (1 − η λ)ⁿ + η rowsum(E ⊙ U), the tiles added in order."""
    shrink = (1.0 - np.float64(rate) * np.float64(decay)) ** size
    for r in range(visual):
        along = 0.0
        for tile in range(row_sums.shape[0]):
            along += row_sums[tile, r]
        weight[r] = np.float32(weight[r] * shrink + rate * along)


@kernel(parallel=True)
def temporal_epoch(
    users,
    positives,
    negatives,
    starts,
    block_epochs,
    block,
    matrix,
    rows,
    multiplier,
    user_rows,
    item_rows,
    visual_rows,
    embedding,
    weight,
    drift,
    bias_weight,
    latent,
    visual,
    rate,
    decay_latent,
    decay_visual_user,
    decay_bias,
    decay_epoch,
    item_drift,
    category_drift,
    category,
):
    """Apply the planned blocks of an iteration, in order.

    Parameters
    ----------
    users, positives, negatives : (T,) int32, in the planned order
    starts : (blocks + 1,) int64
    block_epochs : (blocks,) int64
    block : int64
        Most triples of a block.
    matrix, rows, multiplier, user_rows, item_rows, visual_rows, embedding : as in `visual.visual_epoch`
    weight : (N, D) float32
    drift : (N, R, P) float32
    bias_weight : (N, P) float32
    latent, visual : int64, K and D
    rate, decay_… : float32
        η; λ of γ_u and γ_i (γ_j a tenth), of θ_u, of β_i, and of w, b, ΔE, Δβ.
    item_drift, category_drift : (N, I) and (N, C) float32
        β_i(t) and β_c(t) in place of β_i; N = 0 where item biases don't drift.
    category : (I,) int64, −1 where unknown

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    width = embedding.shape[1]
    height = visual + 1
    padded = (block + 7) // 8 * 8
    room = (embedding.shape[0] + WIDTH - 1) // WIDTH * WIDTH
    differences = np.zeros((padded, width + WIDTH), np.float32)
    projections = np.zeros((padded, room), np.float32)
    pulls = np.zeros((padded, room), np.float32)
    scaled = np.zeros(embedding.shape, np.float32)
    tiles = (width + COLUMN_TILE - 1) // COLUMN_TILE
    row_sums = np.zeros((tiles, visual))
    loss = 0.0
    for k in range(block_epochs.shape[0]):
        first, e = starts[k], block_epochs[k]
        size = starts[k + 1] - first
        pulls[size:] = 0
        if size * width * height <= PARALLEL_WORK:
            build_columns(
                embedding, weight[e], drift[e], bias_weight[e], multiplier, visual, scaled, 0, width
            )
            project_triples(
                positives, negatives, matrix, rows, scaled, first, 0, size, differences, projections
            )
        else:
            for tile in prange(tiles):
                lo = tile * COLUMN_TILE
                hi = min(lo + COLUMN_TILE, width)
                build_columns(
                    embedding, weight[e], drift[e], bias_weight[e], multiplier, visual, scaled, lo, hi
                )
            for task in prange((size + TRIPLE_TILE - 1) // TRIPLE_TILE):
                lo = task * TRIPLE_TILE
                hi = min(lo + TRIPLE_TILE, size)
                project_triples(
                    positives, negatives, matrix, rows, scaled, first, lo, hi, differences, projections
                )
        if item_drift.shape[0] > 0:
            loss += plain_factors(
                users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
                projections, pulls, rate, decay_latent, decay_visual_user, decay_bias, item_drift[e],
                category_drift[e], category,
            )  # fmt: skip
        else:
            loss += move_factors(
                users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
                projections, pulls, rate, decay_latent, decay_visual_user, decay_bias,
            )  # fmt: skip
        if size * width * height <= PARALLEL_WORK:
            for tile in range(tiles):
                lo = tile * COLUMN_TILE
                hi = min(lo + COLUMN_TILE, width)
                move_epoch_columns(
                    embedding, weight[e], drift[e], bias_weight[e], multiplier, pulls, differences, size,
                    visual, lo, hi, rate, decay_epoch, row_sums[tile],
                )  # fmt: skip
        else:
            for tile in prange(tiles):
                lo = tile * COLUMN_TILE
                hi = min(lo + COLUMN_TILE, width)
                move_epoch_columns(
                    embedding, weight[e], drift[e], bias_weight[e], multiplier, pulls, differences, size,
                    visual, lo, hi, rate, decay_epoch, row_sums[tile],
                )  # fmt: skip
        move_weight(weight[e], row_sums, size, visual, rate, decay_epoch)
    return loss
