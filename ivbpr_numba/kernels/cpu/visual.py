"""SGD of the visual models on blocks of triples (model specification 2.6).

Within a block the embedding E and the visual bias β stand still: (1) every triple's feature
difference is read and projected, (2) the user–item part moves triple by triple, (3) E and β move
once by the sum over the block. Steps 1 and 3 run in parallel over triples and over columns; each
number is summed by one thread in a fixed order, so the bits don't depend on the thread count.

E and β share one table `embedding` (R, P): rows 0 … D−1 are E, row D is β, zero rows up to a
multiple of four, zero columns up to a whole cache line. `scaled` is the same table times the
feature multiplier: it acts on stored values, so the matrix is never converted.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.factor import factor_difference_of, factor_step, slope_and_loss
from ivbpr_numba.kernels.cpu.features import feature_differences, project
from ivbpr_numba.kernels.cpu.scalars import stepped

__all__ = ["visual_epoch", "visual_epoch_racing"]

COLUMN_TILE = 128  # columns of E that one task moves: 16 rows × 128 × 4 B stay in the L1 cache
TRIPLE_TILE = 16  # triples that one task projects
PARALLEL_WORK = 400_000  # multiplications in a block below which waking a thread costs more than it saves


@kernel
def project_triples(positives, negatives, matrix, rows, scaled, first, lo, hi, differences, projections):
    """Step 1 for the block's triples lo … hi−1; `first` is the block's first triple."""
    for b in range(lo, hi):
        feature_differences(matrix, rows[positives[first + b]], rows[negatives[first + b]], differences[b])
        project(scaled, differences[b], projections[b])


@kernel
def move_factors(
    users,
    positives,
    negatives,
    first,
    size,
    user_rows,
    item_rows,
    visual_rows,
    latent,
    visual,
    projections,
    pulls,
    rate,
    decay_latent,
    decay_visual_user,
    decay_bias,
):
    """Step 2: move β_i, γ and θ_u triple by triple; write d · [θ_u, 1] as read into `pulls`."""
    loss = 0.0
    for b in range(size):
        user = user_rows[users[first + b]]
        theta = visual_rows[users[first + b]]
        item_i = item_rows[positives[first + b]]
        item_j = item_rows[negatives[first + b]]
        projected = projections[b]
        x = factor_difference_of(user, item_i, item_j, latent) + projected[visual]
        for k in range(visual):
            x += theta[k] * projected[k]
        slope, triple_loss = slope_and_loss(x, np.float32(-1))
        loss += triple_loss
        factor_step(
            user,
            item_i,
            item_j,
            latent,
            slope,
            rate,
            decay_latent,
            decay_latent * np.float32(0.1),
            decay_bias,
        )
        pull = pulls[b]
        for k in range(visual):
            pull[k] = slope * theta[k]
            theta[k] = stepped(theta[k], slope, projected[k], rate, decay_visual_user)
        pull[visual] = slope
    return loss


# Elementwise sums in a written order; only multiply–add contraction is allowed.
@kernel(fastmath={"contract"})
def add_eight(total, pulls, b, differences, lo, hi, height):
    """total[r, c] += Σ over the triples b … b+7 of pull · difference, for all rows r of the table."""
    d0, d1 = differences[b, lo:hi], differences[b + 1, lo:hi]
    d2, d3 = differences[b + 2, lo:hi], differences[b + 3, lo:hi]
    d4, d5 = differences[b + 4, lo:hi], differences[b + 5, lo:hi]
    d6, d7 = differences[b + 6, lo:hi], differences[b + 7, lo:hi]
    for r in range(height):
        p0, p1, p2, p3 = pulls[b, r], pulls[b + 1, r], pulls[b + 2, r], pulls[b + 3, r]
        p4, p5, p6, p7 = pulls[b + 4, r], pulls[b + 5, r], pulls[b + 6, r], pulls[b + 7, r]
        target = total[r]
        for c in range(target.shape[0]):
            target[c] += (
                p0 * d0[c]
                + p1 * d1[c]
                + p2 * d2[c]
                + p3 * d3[c]
                + p4 * d4[c]
                + p5 * d5[c]
                + p6 * d6[c]
                + p7 * d7[c]
            )


@kernel
def move_columns(embedding, scaled, multiplier, pulls, differences, size, height, lo, hi, rate, decay):
    """Step 3 for the columns lo … hi−1: E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    total = np.zeros((height, hi - lo), np.float32)
    whole = (size + 7) // 8 * 8  # rows of pulls and differences beyond `size` are zero
    for b in range(0, whole, 8):
        add_eight(total, pulls, b, differences, lo, hi, height)
    shrink = np.ones(hi - lo, np.float32)
    if decay > 0:
        present = np.zeros(hi - lo, np.int32)
        for b in range(size):
            difference = differences[b, lo:hi]
            for c in range(hi - lo):
                present[c] += difference[c] != 0
        for c in range(hi - lo):
            if multiplier[lo + c] != 0:  # else Δ_c is 0, however the stored values differ
                shrink[c] = (1.0 - np.float64(rate) * np.float64(decay)) ** present[c]
    for r in range(height):
        for c in range(lo, hi):
            moved = embedding[r, c] * shrink[c - lo] + rate * (multiplier[c] * total[r, c - lo])
            embedding[r, c] = moved
            scaled[r, c] = moved * multiplier[c]


@kernel
def one_block(
    users,
    positives,
    negatives,
    first,
    size,
    matrix,
    rows,
    multiplier,
    user_rows,
    item_rows,
    visual_rows,
    embedding,
    scaled,
    latent,
    visual,
    differences,
    projections,
    pulls,
    rate,
    decay_latent,
    decay_visual_user,
    decay_bias,
    decay_embedding,
):
    """All three steps of one block on one thread; returns the block's loss."""
    pulls[size:] = 0
    project_triples(positives, negatives, matrix, rows, scaled, first, 0, size, differences, projections)
    loss = move_factors(
        users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
        projections, pulls, rate, decay_latent, decay_visual_user, decay_bias,
    )  # fmt: skip
    for lo in range(0, embedding.shape[1], COLUMN_TILE):
        hi = min(lo + COLUMN_TILE, embedding.shape[1])
        move_columns(
            embedding, scaled, multiplier, pulls, differences, size, visual + 1, lo, hi, rate, decay_embedding
        )
    return loss


@kernel(parallel=True)
def visual_epoch(
    users,
    positives,
    negatives,
    block,
    matrix,
    rows,
    multiplier,
    user_rows,
    item_rows,
    visual_rows,
    embedding,
    scaled,
    latent,
    visual,
    rate,
    decay_latent,
    decay_visual_user,
    decay_bias,
    decay_embedding,
):
    """Apply all triples of an iteration in blocks, in order.

    Parameters
    ----------
    users, positives, negatives : (T,) int32
    block : int64
        B, triples to a block.
    matrix : (M, F) uint16 (float16 bits), uint8 or float32
    rows : (I,) int64, feature row of each item
    multiplier : (P,) float32
        Feature value = stored · multiplier up to a shift that cancels in differences; zero padded.
    user_rows, item_rows : packed tables of γ_u and of γ_i with β_i (see `factor`)
    visual_rows : (U, Q) float32, θ_u
    embedding, scaled : (R, P) float32
    latent, visual : int64, K and D
    rate, decay_… : float32
        η; λ of γ_u and γ_i (γ_j a tenth), of θ_u, of β_i, and of E and β.

    Returns
    -------
    float64
        Summed loss of the triples at the time they were applied.
    """
    n = users.shape[0]
    block = min(block, max(n, 1))  # no more room than triples
    width = embedding.shape[1]
    height = visual + 1
    padded = (block + 7) // 8 * 8
    differences = np.zeros((padded, width), np.float32)
    projections = np.zeros((padded, embedding.shape[0]), np.float32)
    pulls = np.zeros((padded, height), np.float32)
    loss = 0.0
    alone = block * width * height <= PARALLEL_WORK
    for first in range(0, n, block):
        size = min(block, n - first)
        if alone:
            loss += one_block(
                users, positives, negatives, first, size, matrix, rows, multiplier, user_rows, item_rows,
                visual_rows, embedding, scaled, latent, visual, differences, projections, pulls, rate,
                decay_latent, decay_visual_user, decay_bias, decay_embedding,
            )  # fmt: skip
            continue
        pulls[size:] = 0
        for task in prange((size + TRIPLE_TILE - 1) // TRIPLE_TILE):
            lo = task * TRIPLE_TILE
            hi = min(lo + TRIPLE_TILE, size)
            project_triples(
                positives, negatives, matrix, rows, scaled, first, lo, hi, differences, projections
            )
        loss += move_factors(
            users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
            projections, pulls, rate, decay_latent, decay_visual_user, decay_bias,
        )  # fmt: skip
        for tile in prange((width + COLUMN_TILE - 1) // COLUMN_TILE):
            lo = tile * COLUMN_TILE
            hi = min(lo + COLUMN_TILE, width)
            move_columns(
                embedding, scaled, multiplier, pulls, differences, size, height, lo, hi, rate, decay_embedding
            )
    return loss


@kernel(parallel=True)
def visual_epoch_racing(
    users,
    positives,
    negatives,
    block,
    matrix,
    rows,
    multiplier,
    user_rows,
    item_rows,
    visual_rows,
    embedding,
    scaled,
    latent,
    visual,
    rate,
    decay_latent,
    decay_visual_user,
    decay_bias,
    decay_embedding,
    racers,
):
    """Hogwild: `racers` runs of blocks side by side over shared tables; arguments as `visual_epoch`."""
    n = users.shape[0]
    block = min(block, max(n, 1))
    padded = (block + 7) // 8 * 8
    blocks = (n + block - 1) // block
    losses = np.zeros(racers)
    for racer in prange(racers):
        differences = np.zeros((padded, embedding.shape[1]), np.float32)
        projections = np.zeros((padded, embedding.shape[0]), np.float32)
        pulls = np.zeros((padded, visual + 1), np.float32)
        for k in range(racer * blocks // racers, (racer + 1) * blocks // racers):
            losses[racer] += one_block(
                users, positives, negatives, k * block, min(block, n - k * block), matrix, rows, multiplier,
                user_rows, item_rows, visual_rows, embedding, scaled, latent, visual, differences,
                projections, pulls, rate, decay_latent, decay_visual_user, decay_bias, decay_embedding,
            )  # fmt: skip
    return losses.sum()
