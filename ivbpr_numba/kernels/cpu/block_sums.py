"""Sums over the triples of a block for some columns of E and β: what step 3 of `visual` moves them by."""

import numpy as np

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.scalars import column_share
from ivbpr_numba.kernels.cpu.vectors import WIDTH

__all__ = ["block_sums", "column_shrink"]

SUM_TILE = 64  # triples whose differences stay in the L1 cache while all rows of E are moved


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
    """(1 − η λ)^m_c for the columns lo … hi−1, m_c = Σ_b Δ_bc² as the model sees Δ: of one-hots a count."""
    shrink = np.ones(hi - lo, np.float32)
    if decay > 0:
        shares, times = np.zeros(hi - lo, np.float32), multiplier[lo:hi]
        for b in range(size):
            difference = differences[b, lo:hi]
            for c in range(hi - lo):
                shares[c] += column_share(difference[c] * times[c])
        kept = max(1.0 - np.float64(rate) * np.float64(decay), 0.0)  # a power of it must be a number
        for c in range(hi - lo):
            shrink[c] = kept ** np.float64(shares[c])
    return shrink
