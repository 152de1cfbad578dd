"""SGD of the visual models on blocks of triples (model specification 2.6).

Within a block the embedding E and the visual bias β stand still: (1) every triple's feature
difference is read and projected, (2) the user–item part moves triple by triple, (3) E and β move
once by the sum over the block. Steps 1 and 3 run in parallel over triples and over columns; each
number is summed by one thread in a fixed order, so the bits don't depend on the thread count.

E and β share one table `embedding` (R, P): rows 0 … D−1 are E, row D is β, zero rows up to a
multiple of four, zero columns up to a whole cache line. `scaled` is the same table times the
feature multiplier: it acts on stored values, so the matrix is never converted.
"""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.factor import (
    AHEAD,
    ZERO,
    factor_difference_of,
    factor_step,
    lanes,
    slope_and_loss,
)
from ivbpr_numba.kernels.cpu.features import feature_differences, project
from ivbpr_numba.kernels.cpu.scalars import logistic_slope, stepped
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["visual_epoch", "visual_epoch_racing"]

COLUMN_TILE = 128  # columns of E that one task moves: 16 rows × 128 × 4 B stay in the L1 cache
TRIPLE_TILE = 64  # triples that one task projects; a multiple of four
SUM_TILE = 64  # triples whose differences stay in the L1 cache while all rows of E are moved
PARALLEL_WORK = 400_000  # multiplications in a block below which waking a thread costs more than it saves


@kernel
def project_triples(positives, negatives, matrix, rows, scaled, first, lo, hi, differences, projections):
    """Step 1 for the block's triples lo … hi−1; `first` is the block's first triple."""
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
def shared_bias(shared, category, item):
    """Bias of the item's category, 0 where it has none."""
    return shared[category[item]] if category[item] >= 0 else np.float32(0)


@kernel
def move_shared(shared, of_i, of_j, slope, rate, decay):
    """Move the category biases of a positive and a negative, both from old values; equal ones only decay."""
    old_i = shared[of_i] if of_i >= 0 else np.float32(0)
    old_j = shared[of_j] if of_j >= 0 else np.float32(0)
    if of_i >= 0:
        shared[of_i] += rate * (slope - decay * old_i)
    if of_j >= 0:
        shared[of_j] += rate * (-slope - decay * old_j)


@kernel
def plain_factors(
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
    own,
    shared,
    category,
):
    """`move_factors` for rows of any width, and for item biases that drift.

    Where `own` (I,) is not empty it holds the item biases of the block's epoch, for which the bias in an item
    row is only scratch space; `shared` (C,) are those of the categories and `category` (I,) int64 says which
    one an item has, −1 for none.
    """
    loss = 0.0
    drifting = own.shape[0] > 0
    for b in range(size):
        user = user_rows[users[first + b]]
        theta = visual_rows[users[first + b]]
        i, j = positives[first + b], negatives[first + b]
        item_i, item_j = item_rows[i], item_rows[j]
        projected = projections[b]
        if drifting:
            item_i[latent], item_j[latent] = own[i], own[j]
        x = factor_difference_of(user, item_i, item_j, latent) + projected[visual]
        for k in range(visual):
            x += theta[k] * projected[k]
        if drifting:
            x += shared_bias(shared, category, i) - shared_bias(shared, category, j)
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
        if drifting:
            own[i], own[j] = item_i[latent], item_j[latent]
            move_shared(shared, category[i], category[j], slope, rate, decay_bias)
        pull = pulls[b]
        for k in range(visual):
            pull[k] = slope * theta[k]
            theta[k] = stepped(theta[k], slope, projected[k], rate, decay_visual_user)
        pull[visual] = slope
    return loss


@kernel
def still_factors(
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
    """`plain_factors` without drifting biases."""
    return plain_factors(
        users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
        projections, pulls, rate, decay_latent, decay_visual_user, decay_bias, np.empty(0, np.float32),
        np.empty(0, np.float32), np.empty(0, np.int64),
    )  # fmt: skip


@kernel
def vector_factors(
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
    """`move_factors` for rows of one vector each; see `factor.vector_range`."""
    numbers = lanes(latent, rate, decay_latent, decay_bias)
    at_bias, rates = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_u, keep_i = vectors.load(numbers, 2, 0), vectors.load(numbers, 3, 0)
    keep_j = vectors.load(numbers, 4, 0)
    numbers = lanes(visual, rate, decay_visual_user, ZERO)
    at_visual_bias, visual_rates = vectors.load(numbers, 0, 0), vectors.load(numbers, 1, 0)
    keep_theta = vectors.load(numbers, 2, 0)
    loss, product = 0.0, 1.0
    held, of_u, theta = np.int64(-1), at_bias, at_bias
    for b in range(size):
        n = first + b
        ahead = first + min(b + AHEAD, size - 1)
        vectors.prefetch_write(user_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(visual_rows, np.int64(users[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(positives[ahead]), 0)
        vectors.prefetch_write(item_rows, np.int64(negatives[ahead]), 0)
        u, i, j = np.int64(users[n]), np.int64(positives[n]), np.int64(negatives[n])
        if u != held:
            held, of_u, theta = u, vectors.load(user_rows, u, 0), vectors.load(visual_rows, u, 0)
        of_i, of_j = vectors.load(item_rows, i, 0), vectors.load(item_rows, j, 0)
        projected = vectors.load(projections, b, 0)
        difference, biased = vectors.sub(of_i, of_j), vectors.add(of_u, at_bias)
        pull = vectors.add(theta, at_visual_bias)
        x = vectors.total(vectors.fma(pull, projected, vectors.mul(biased, difference)))
        slope = np.float32(logistic_slope(x))
        product *= 1.0 + math.exp(-abs(x))
        loss += max(-x, ZERO)
        if b & 255 == 255:
            loss += math.log(product)
            product = 1.0
        slopes = vectors.splat(slope)
        vectors.store(pulls, b, 0, vectors.mul(slopes, pull))
        theta = vectors.fma(vectors.mul(slopes, visual_rates), projected, vectors.mul(theta, keep_theta))
        gain = vectors.mul(vectors.splat(rate * slope), biased)
        of_u = vectors.fma(vectors.mul(slopes, rates), difference, vectors.mul(of_u, keep_u))
        vectors.store(visual_rows, u, 0, theta)
        vectors.store(user_rows, u, 0, of_u)
        vectors.store(item_rows, i, 0, vectors.fma(of_i, keep_i, gain))
        vectors.store(item_rows, j, 0, vectors.sub(vectors.mul(of_j, keep_j), gain))
    return loss + math.log(product)


if vectors.USABLE:

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
        widths = (
            user_rows.shape[1],
            item_rows.shape[1],
            visual_rows.shape[1],
            projections.shape[1],
            pulls.shape[1],
        )
        if min(widths) == WIDTH and max(widths) == WIDTH:
            return vector_factors(
                users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
                projections, pulls, rate, decay_latent, decay_visual_user, decay_bias,
            )  # fmt: skip
        return still_factors(
            users, positives, negatives, first, size, user_rows, item_rows, visual_rows, latent, visual,
            projections, pulls, rate, decay_latent, decay_visual_user, decay_bias,
        )  # fmt: skip

else:
    move_factors = still_factors


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
def plain_sums(total, pulls, differences, size, lo, hi):
    """`block_sums` with plain loops."""
    for b in range(0, (size + 7) // 8 * 8, 8):
        add_eight(total, pulls, b, differences, lo, hi, total.shape[0])


@kernel
def vector_sums(total, pulls, differences, size, lo, hi):
    """`block_sums` with four rows by four vectors in registers."""
    whole = lo + (hi - lo) // (4 * WIDTH) * (4 * WIDTH)
    for first in range(0, size, SUM_TILE):
        last = min(first + SUM_TILE, size)
        for c in range(lo, whole, 4 * WIDTH):
            e = c - lo
            for r in range(0, total.shape[0], 4):
                r1, r2, r3 = r + 1, r + 2, r + 3
                c1, c2, c3 = c + WIDTH, c + 2 * WIDTH, c + 3 * WIDTH
                e1, e2, e3 = e + WIDTH, e + 2 * WIDTH, e + 3 * WIDTH
                t00, t01 = vectors.load(total, r, e), vectors.load(total, r, e1)
                t02, t03 = vectors.load(total, r, e2), vectors.load(total, r, e3)
                t10, t11 = vectors.load(total, r1, e), vectors.load(total, r1, e1)
                t12, t13 = vectors.load(total, r1, e2), vectors.load(total, r1, e3)
                t20, t21 = vectors.load(total, r2, e), vectors.load(total, r2, e1)
                t22, t23 = vectors.load(total, r2, e2), vectors.load(total, r2, e3)
                t30, t31 = vectors.load(total, r3, e), vectors.load(total, r3, e1)
                t32, t33 = vectors.load(total, r3, e2), vectors.load(total, r3, e3)
                for b in range(first, last):
                    d0, d1 = vectors.load(differences, b, c), vectors.load(differences, b, c1)
                    d2, d3 = vectors.load(differences, b, c2), vectors.load(differences, b, c3)
                    p = vectors.splat(pulls[b, r])
                    t00, t01 = vectors.fma(p, d0, t00), vectors.fma(p, d1, t01)
                    t02, t03 = vectors.fma(p, d2, t02), vectors.fma(p, d3, t03)
                    p = vectors.splat(pulls[b, r1])
                    t10, t11 = vectors.fma(p, d0, t10), vectors.fma(p, d1, t11)
                    t12, t13 = vectors.fma(p, d2, t12), vectors.fma(p, d3, t13)
                    p = vectors.splat(pulls[b, r2])
                    t20, t21 = vectors.fma(p, d0, t20), vectors.fma(p, d1, t21)
                    t22, t23 = vectors.fma(p, d2, t22), vectors.fma(p, d3, t23)
                    p = vectors.splat(pulls[b, r3])
                    t30, t31 = vectors.fma(p, d0, t30), vectors.fma(p, d1, t31)
                    t32, t33 = vectors.fma(p, d2, t32), vectors.fma(p, d3, t33)
                store_four(total, r, e, t00, t01, t02, t03)
                store_four(total, r1, e, t10, t11, t12, t13)
                store_four(total, r2, e, t20, t21, t22, t23)
                store_four(total, r3, e, t30, t31, t32, t33)
        for c in range(whole, hi, WIDTH):
            e = c - lo
            for r in range(0, total.shape[0], 4):
                t0, t1 = vectors.load(total, r, e), vectors.load(total, r + 1, e)
                t2, t3 = vectors.load(total, r + 2, e), vectors.load(total, r + 3, e)
                for b in range(first, last):
                    d = vectors.load(differences, b, c)
                    t0 = vectors.fma(vectors.splat(pulls[b, r]), d, t0)
                    t1 = vectors.fma(vectors.splat(pulls[b, r + 1]), d, t1)
                    t2 = vectors.fma(vectors.splat(pulls[b, r + 2]), d, t2)
                    t3 = vectors.fma(vectors.splat(pulls[b, r + 3]), d, t3)
                vectors.store(total, r, e, t0)
                vectors.store(total, r + 1, e, t1)
                vectors.store(total, r + 2, e, t2)
                vectors.store(total, r + 3, e, t3)


@kernel
def store_four(table, row, column, a, b, c, d):
    """Four vectors side by side."""
    vectors.store(table, row, column, a)
    vectors.store(table, row, column + WIDTH, b)
    vectors.store(table, row, column + 2 * WIDTH, c)
    vectors.store(table, row, column + 3 * WIDTH, d)


# total[r, c − lo] += Σ_b pulls[b, r] · differences[b, c] for the columns c = lo … hi−1, whole vectors; the
# rows of `total` are a multiple of four.
block_sums = vector_sums if vectors.USABLE else plain_sums


@kernel
def column_shrink(multiplier, differences, size, lo, hi, rate, decay):
    """(1 − η λ)^m_c for the columns lo … hi−1, m_c being the number of triples with Δ_c ≠ 0."""
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
    return shrink


@kernel
def move_columns(embedding, scaled, multiplier, pulls, differences, size, height, lo, hi, rate, decay):
    """Step 3 for the columns lo … hi−1: E_c ← E_c (1 − η λ)^m_c + η Σ_b d_b θ_u⁽ᵇ⁾ Δ_bc, β likewise."""
    total = np.zeros((embedding.shape[0], hi - lo), np.float32)
    block_sums(total, pulls, differences, size, lo, hi)
    shrink = column_shrink(multiplier, differences, size, lo, hi, rate, decay)
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
    room = (embedding.shape[0] + WIDTH - 1) // WIDTH * WIDTH
    differences = np.zeros((padded, width + WIDTH), np.float32)
    projections = np.zeros((padded, room), np.float32)
    pulls = np.zeros((padded, room), np.float32)
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
    room = (embedding.shape[0] + WIDTH - 1) // WIDTH * WIDTH
    blocks = (n + block - 1) // block
    losses = np.zeros(racers)
    for racer in prange(racers):
        differences = np.zeros((padded, embedding.shape[1] + WIDTH), np.float32)
        projections = np.zeros((padded, room), np.float32)
        pulls = np.zeros((padded, room), np.float32)
        for k in range(racer * blocks // racers, (racer + 1) * blocks // racers):
            losses[racer] += one_block(
                users, positives, negatives, k * block, min(block, n - k * block), matrix, rows, multiplier,
                user_rows, item_rows, visual_rows, embedding, scaled, latent, visual, differences,
                projections, pulls, rate, decay_latent, decay_visual_user, decay_bias, decay_embedding,
            )  # fmt: skip
    return losses.sum()
