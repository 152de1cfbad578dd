"""Sums over the triples of a block for some columns of E and β: what step 3 of `visual` moves them by.

Every triple of a block belongs to one of two sums (see `rounds`), so that two threads can add at a time;
`BlockSums` holds both, and who moves the columns adds the two and clears them.
"""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.blocks import shrink_of
from ivbpr_numba.kernels.cpu.scalars import column_share
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["add_sums", "column_shrink", "summed"]

SUM_TILE = 64  # triples whose differences stay in the L1 cache while all rows of a sum are added to


# Elementwise sums in a written order; only multiply–add contraction is allowed.
@kernel(fastmath={"contract"})
def add_eight(total, pulls, b, differences, lo, hi):
    """total[r, c] += Σ over the triples b … b+7 of pull · difference, for all rows r of the table."""
    d0, d1 = differences[b, lo:hi], differences[b + 1, lo:hi]
    d2, d3 = differences[b + 2, lo:hi], differences[b + 3, lo:hi]
    d4, d5 = differences[b + 4, lo:hi], differences[b + 5, lo:hi]
    d6, d7 = differences[b + 6, lo:hi], differences[b + 7, lo:hi]
    for r in range(total.shape[0]):
        p0, p1, p2, p3 = pulls[b, r], pulls[b + 1, r], pulls[b + 2, r], pulls[b + 3, r]
        p4, p5, p6, p7 = pulls[b + 4, r], pulls[b + 5, r], pulls[b + 6, r], pulls[b + 7, r]
        target = total[r, lo:hi]
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
def plain_sums(total, pulls, differences, first, last, lo, hi):
    """`block_sums` with plain loops; pulls of triples up to a multiple of eight are zero."""
    for b in range(first, last, 8):
        add_eight(total, pulls, b, differences, lo, hi)


@kernel
def vector_sums(total, pulls, differences, first, last, lo, hi):
    """`block_sums` with four rows by four vectors in registers."""
    whole = lo + (hi - lo) // (4 * WIDTH) * (4 * WIDTH)
    for c in range(lo, whole, 4 * WIDTH):
        c1, c2, c3 = c + WIDTH, c + 2 * WIDTH, c + 3 * WIDTH
        for r in range(0, total.shape[0], 4):
            r1, r2, r3 = r + 1, r + 2, r + 3
            t00, t01, t02, t03 = load_four(total, r, c)
            t10, t11, t12, t13 = load_four(total, r1, c)
            t20, t21, t22, t23 = load_four(total, r2, c)
            t30, t31, t32, t33 = load_four(total, r3, c)
            for b in range(first, last):
                d0, d1 = vectors.load(differences, b, c), vectors.load(differences, b, c1)
                d2, d3 = vectors.load(differences, b, c2), vectors.load(differences, b, c3)
                p = vectors.spread(pulls, b, r)
                t00, t01 = vectors.fma(p, d0, t00), vectors.fma(p, d1, t01)
                t02, t03 = vectors.fma(p, d2, t02), vectors.fma(p, d3, t03)
                p = vectors.spread(pulls, b, r1)
                t10, t11 = vectors.fma(p, d0, t10), vectors.fma(p, d1, t11)
                t12, t13 = vectors.fma(p, d2, t12), vectors.fma(p, d3, t13)
                p = vectors.spread(pulls, b, r2)
                t20, t21 = vectors.fma(p, d0, t20), vectors.fma(p, d1, t21)
                t22, t23 = vectors.fma(p, d2, t22), vectors.fma(p, d3, t23)
                p = vectors.spread(pulls, b, r3)
                t30, t31 = vectors.fma(p, d0, t30), vectors.fma(p, d1, t31)
                t32, t33 = vectors.fma(p, d2, t32), vectors.fma(p, d3, t33)
            store_four(total, r, c, t00, t01, t02, t03)
            store_four(total, r1, c, t10, t11, t12, t13)
            store_four(total, r2, c, t20, t21, t22, t23)
            store_four(total, r3, c, t30, t31, t32, t33)
    for c in range(whole, hi, WIDTH):
        for r in range(0, total.shape[0], 4):
            t0, t1 = vectors.load(total, r, c), vectors.load(total, r + 1, c)
            t2, t3 = vectors.load(total, r + 2, c), vectors.load(total, r + 3, c)
            for b in range(first, last):
                d = vectors.load(differences, b, c)
                t0 = vectors.fma(vectors.spread(pulls, b, r), d, t0)
                t1 = vectors.fma(vectors.spread(pulls, b, r + 1), d, t1)
                t2 = vectors.fma(vectors.spread(pulls, b, r + 2), d, t2)
                t3 = vectors.fma(vectors.spread(pulls, b, r + 3), d, t3)
            vectors.store(total, r, c, t0)
            vectors.store(total, r + 1, c, t1)
            vectors.store(total, r + 2, c, t2)
            vectors.store(total, r + 3, c, t3)


@kernel
def load_four(table, row, column):
    """Four vectors side by side."""
    return (
        vectors.load(table, row, column),
        vectors.load(table, row, column + WIDTH),
        vectors.load(table, row, column + 2 * WIDTH),
        vectors.load(table, row, column + 3 * WIDTH),
    )


@kernel
def store_four(table, row, column, a, b, c, d):
    """Write four vectors side by side."""
    vectors.store(table, row, column, a)
    vectors.store(table, row, column + WIDTH, b)
    vectors.store(table, row, column + 2 * WIDTH, c)
    vectors.store(table, row, column + 3 * WIDTH, d)


# total[r, c] += Σ pulls[b, r] · differences[b, c] over b = first … last−1 for the columns c = lo … hi−1,
# whole vectors; the rows of `total` are a multiple of four.
block_sums = vector_sums if vectors.USABLE else plain_sums


@kernel
def plain_shares(shares, differences, first, last, lo, hi):
    """`add_shares` with plain loops."""
    own = shares[lo:hi]
    for b in range(first, last):
        difference = differences[b, lo:hi]
        for c in range(own.shape[0]):
            own[c] += column_share(difference[c])


@kernel
def vector_shares(shares, differences, first, last, lo, hi):
    """`add_shares` a vector at a time."""
    for c in range(lo, hi, WIDTH):
        share = vectors.load(shares, 0, c)
        for b in range(first, last):
            difference = vectors.load(differences, b, c)
            share = vectors.fma(difference, difference, share)
        vectors.store(shares, 0, c, share)


# shares[c] += Σ differences[b, c]² over b = first … last−1 for the columns c = lo … hi−1.
add_shares = vector_shares if vectors.USABLE else plain_shares


@kernel
def add_sums(sums, which, scratch, first, last, lo, hi):
    """Add the triples first … last−1 of the scratch, from a multiple of eight, to one of the two sums."""
    total, shares = sums.pulled[which], sums.shares[which]
    for tile in range(first, last, SUM_TILE):
        end = min(tile + SUM_TILE, last)
        block_sums(total, scratch.pulls, scratch.differences, tile, end, lo, hi)
        if sums.powers.shape[0] > 0:
            add_shares(shares, scratch.differences, tile, end, lo, hi)


@kernel
def summed(sums, row, lo, hi):
    """Both sums of a row of the table for the columns lo … hi−1, cleared for the next block."""
    first, second = sums.pulled[0, row, lo:hi], sums.pulled[1, row, lo:hi]
    total = np.empty(hi - lo, np.float32)
    for c in range(hi - lo):
        total[c] = first[c] + second[c]
        first[c] = second[c] = 0
    return total


@kernel
def column_shrink(sums, multiplier, lo, hi):
    """(1 − η λ)^m_c for the columns lo … hi−1, m_c = Σ_b Δ_bc² as the model sees Δ; clears the sums."""
    shrink = np.ones(hi - lo, np.float32)
    if sums.powers.shape[0] > 0:
        first, second = sums.shares[0, lo:hi], sums.shares[1, lo:hi]
        for c in range(hi - lo):
            shrink[c] = shrink_of(sums.powers, first[c] + second[c], multiplier[lo + c])
            first[c] = second[c] = 0
    return shrink
