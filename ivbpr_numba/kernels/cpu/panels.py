"""Scores of a few users for one tile of items, in registers: what counting and choosing the best share.

Item vectors are laid out in tiles of `TILE` items, (L + 1, TILE), row 0 the biases; users side by side in
panels of `PANEL`, (L, PANEL). Both are rows of one long array, so that a loop over tiles makes no views.
Every score, of a candidate, of a target, or shown to a user, is its bias plus the products from k = 0 on,
added one by one, so equal items get equal bits and ties are exact. Padding has bias NaN, which no comparison
counts.

With AVX-512 sixteen sums of four users by four vectors stay in registers, elsewhere those of six users by one
vector: twelve registers of sixteen with AVX2, 24 of 32 with Neon. Comparisons of one user with 64 items
become one 64-bit word.
"""

import numpy as np

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.vectors import (
    WIDTH,
    above_bits,
    bits_set,
    fma,
    fma_one,
    less_bits,
    load,
    splat,
    spread,
    store,
    upto_bits,
)

__all__ = ["PANEL", "count_panel", "fill_panels", "find_above", "gather_tile", "score_rows", "score_tile"]

PANEL = 4 if vectors.WIDE else 6  # users whose sums stay in registers together


@kernel
def fill_panels(users, start, stop, packed):
    """Users start … stop−1 into panels, (panels · L, PANEL); places beyond the last user are zero."""
    length, places = users.shape[1], packed.shape[1]
    packed[:] = 0
    for n in range(stop - start):
        first, place = n // places * length, n % places
        for k in range(length):
            packed[first + k, place] = users[start + n, k]


# Elementwise multiply–adds in a written order; NaN and infinities keep their meaning.
@kernel(fastmath={"contract"})
def plain_score_tile(user, tile, out):
    """`score_tile` with plain loops."""
    bias = tile[0]
    for c in range(TILE):
        out[c] = bias[c]
    fours = user.shape[0] // 4 * 4
    for k in range(0, fours, 4):
        u0, u1, u2, u3 = user[k], user[k + 1], user[k + 2], user[k + 3]
        v0, v1, v2, v3 = tile[k + 1], tile[k + 2], tile[k + 3], tile[k + 4]
        for c in range(TILE):
            out[c] += u0 * v0[c] + u1 * v1[c] + u2 * v2[c] + u3 * v3[c]
    for k in range(fours, user.shape[0]):
        u, v = user[k], tile[k + 1]
        for c in range(TILE):
            out[c] += u * v[c]


@kernel
def gather_tile(vectors, bias, items, lo, hi, tile):
    """Copy the items items[lo:hi] into one tile; below 0 is padding. The rest of the tile stays as it is."""
    for n in range(lo, hi):
        item, lane = items[n], n - lo
        tile[0, lane] = np.nan if item < 0 else bias[item]
        for k in range(vectors.shape[1]):
            tile[k + 1, lane] = 0 if item < 0 else vectors[item, k]


@kernel
def plain_score_rows(user, vectors, bias, items, lo, hi, out):
    """`score_rows` by way of a tile."""
    tile, scores = np.zeros((vectors.shape[1] + 1, TILE), np.float32), np.empty(TILE, np.float32)
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        gather_tile(vectors, bias, items, first, last, tile)
        plain_score_tile(user, tile, scores)
        for n in range(first, last):
            out[n - lo] = scores[n - first]


@kernel
def score_place(packed, first, length, place, tiles, row, out):
    """Scores of one place of a panel, by way of a user vector."""
    user = np.empty(length, np.float32)
    for k in range(length):
        user[k] = packed[first + k, place]
    plain_score_tile(user, tiles[row : row + length + 1], out)


@kernel
def plain_count_panel(packed, first, length, tiles, row, targets, panel, less, upto):
    """`count_panel` by way of the scores."""
    scores = np.empty(TILE, np.float32)
    for u in range(targets.shape[1]):
        score_place(packed, first, length, u, tiles, row, scores)
        target = targets[panel, u]
        for c in range(TILE):
            less[panel, u] += scores[c] < target
            upto[panel, u] += scores[c] <= target


@kernel
def plain_find_above(packed, first, length, tiles, row, least, panel, found, scores):
    """`find_above` by way of the scores."""
    for u in range(least.shape[1]):
        score_place(packed, first, length, u, tiles, row, scores[u])
        word = np.uint64(0)
        for c in range(TILE):
            if not scores[u, c] <= least[panel, u]:
                word |= np.uint64(1) << np.uint64(c)
        found[u] = word


@kernel
def vector_score_tile(user, tile, out):
    """`score_tile` with four vectors of items in registers."""
    for c in range(0, TILE, 4 * WIDTH):
        c1, c2, c3 = c + WIDTH, c + 2 * WIDTH, c + 3 * WIDTH
        s0, s1, s2, s3 = load(tile, 0, c), load(tile, 0, c1), load(tile, 0, c2), load(tile, 0, c3)
        for k in range(user.shape[0]):
            p = splat(user[k])
            s0 = fma(p, load(tile, k + 1, c), s0)
            s1 = fma(p, load(tile, k + 1, c1), s1)
            s2 = fma(p, load(tile, k + 1, c2), s2)
            s3 = fma(p, load(tile, k + 1, c3), s3)
        store(out, 0, c, s0)
        store(out, 0, c1, s1)
        store(out, 0, c2, s2)
        store(out, 0, c3, s3)


@kernel
def vector_score_rows(user, vectors, bias, items, lo, hi, out):
    """`score_rows` item by item: a CPU works on several at once, and nothing is copied."""
    for n in range(lo, hi):
        item = items[n]
        score = bias[item]
        for k in range(user.shape[0]):
            score = fma_one(user[k], vectors[item, k], score)
        out[n - lo] = score


@kernel(forceinline=True)
def four_by_four(packed, first, length, tiles, row):
    """Scores of four users by 64 items: sixteen vectors, those of one user together."""
    a0, a1, a2, a3 = load(tiles, row, 0), load(tiles, row, 16), load(tiles, row, 32), load(tiles, row, 48)
    b0, b1, b2, b3 = a0, a1, a2, a3
    c0, c1, c2, c3 = a0, a1, a2, a3
    d0, d1, d2, d3 = a0, a1, a2, a3
    for k in range(length):
        at = row + k + 1
        v0, v1, v2, v3 = load(tiles, at, 0), load(tiles, at, 16), load(tiles, at, 32), load(tiles, at, 48)
        p = spread(packed, first + k, 0)
        a0, a1, a2, a3 = fma(p, v0, a0), fma(p, v1, a1), fma(p, v2, a2), fma(p, v3, a3)
        p = spread(packed, first + k, 1)
        b0, b1, b2, b3 = fma(p, v0, b0), fma(p, v1, b1), fma(p, v2, b2), fma(p, v3, b3)
        p = spread(packed, first + k, 2)
        c0, c1, c2, c3 = fma(p, v0, c0), fma(p, v1, c1), fma(p, v2, c2), fma(p, v3, c3)
        p = spread(packed, first + k, 3)
        d0, d1, d2, d3 = fma(p, v0, d0), fma(p, v1, d1), fma(p, v2, d2), fma(p, v3, d3)
    return (a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3)


@kernel(forceinline=True)
def six_by_one(packed, first, length, tiles, row, column):
    """Scores of six users by the 16 items from `column` on: six vectors."""
    a = b = c = d = e = f = load(tiles, row, column)
    for k in range(length):
        v = load(tiles, row + k + 1, column)
        a, b = fma(spread(packed, first + k, 0), v, a), fma(spread(packed, first + k, 1), v, b)
        c, d = fma(spread(packed, first + k, 2), v, c), fma(spread(packed, first + k, 3), v, d)
        e, f = fma(spread(packed, first + k, 4), v, e), fma(spread(packed, first + k, 5), v, f)
    return a, b, c, d, e, f


@kernel(forceinline=True)
def joined(a, b, c, d):
    """Four words of sixteen bits as one of 64."""
    return a | b << np.uint64(16) | c << np.uint64(32) | d << np.uint64(48)


@kernel(forceinline=True)
def count_wide(s, targets, panel, u, less, upto):
    """Count four vectors of one user's scores."""
    t = spread(targets, panel, u)
    below = joined(less_bits(s[0], t), less_bits(s[1], t), less_bits(s[2], t), less_bits(s[3], t))
    within = joined(upto_bits(s[0], t), upto_bits(s[1], t), upto_bits(s[2], t), upto_bits(s[3], t))
    less[panel, u] += bits_set(below)
    upto[panel, u] += bits_set(within)


@kernel(forceinline=True)
def count_narrow(s, targets, panel, u, less, upto):
    """Count one vector of one user's scores."""
    t = spread(targets, panel, u)
    less[panel, u] += bits_set(less_bits(s, t))
    upto[panel, u] += bits_set(upto_bits(s, t))


@kernel(forceinline=True)
def find_wide(s, least, panel, u, found, scores):
    """Note which of four vectors of scores are above `least`, and if any is, all of them."""
    t = spread(least, panel, u)
    word = joined(above_bits(s[0], t), above_bits(s[1], t), above_bits(s[2], t), above_bits(s[3], t))
    found[u] = word
    if word != 0:
        store(scores, u, 0, s[0])
        store(scores, u, 16, s[1])
        store(scores, u, 32, s[2])
        store(scores, u, 48, s[3])


@kernel(forceinline=True)
def find_narrow(s, least, panel, u, column, found, scores):
    """The same for the vector from `column` on."""
    found[u] |= above_bits(s, spread(least, panel, u)) << np.uint64(column)
    store(scores, u, column, s)


@kernel
def wide_count_panel(packed, first, length, tiles, row, targets, panel, less, upto):
    """`count_panel` with sixteen sums in registers."""
    a, b, c, d = four_by_four(packed, first, length, tiles, row)
    count_wide(a, targets, panel, 0, less, upto)
    count_wide(b, targets, panel, 1, less, upto)
    count_wide(c, targets, panel, 2, less, upto)
    count_wide(d, targets, panel, 3, less, upto)


@kernel
def narrow_count_panel(packed, first, length, tiles, row, targets, panel, less, upto):
    """`count_panel` with six sums in registers."""
    for column in range(0, TILE, WIDTH):
        a, b, c, d, e, f = six_by_one(packed, first, length, tiles, row, column)
        count_narrow(a, targets, panel, 0, less, upto)
        count_narrow(b, targets, panel, 1, less, upto)
        count_narrow(c, targets, panel, 2, less, upto)
        count_narrow(d, targets, panel, 3, less, upto)
        count_narrow(e, targets, panel, 4, less, upto)
        count_narrow(f, targets, panel, 5, less, upto)


@kernel
def wide_find_above(packed, first, length, tiles, row, least, panel, found, scores):
    """`find_above` with sixteen sums in registers."""
    a, b, c, d = four_by_four(packed, first, length, tiles, row)
    find_wide(a, least, panel, 0, found, scores)
    find_wide(b, least, panel, 1, found, scores)
    find_wide(c, least, panel, 2, found, scores)
    find_wide(d, least, panel, 3, found, scores)


@kernel
def narrow_find_above(packed, first, length, tiles, row, least, panel, found, scores):
    """`find_above` with six sums in registers."""
    found[:] = 0
    for column in range(0, TILE, WIDTH):
        a, b, c, d, e, f = six_by_one(packed, first, length, tiles, row, column)
        find_narrow(a, least, panel, 0, column, found, scores)
        find_narrow(b, least, panel, 1, column, found, scores)
        find_narrow(c, least, panel, 2, column, found, scores)
        find_narrow(d, least, panel, 3, column, found, scores)
        find_narrow(e, least, panel, 4, column, found, scores)
        find_narrow(f, least, panel, 5, column, found, scores)


# score_tile: out[c] = bias_c + user · item_c for the items of one tile, (L + 1, TILE).
# score_rows: out[n − lo], the same of the items items[lo:hi] as rows of (I, L) and (I,).
# count_panel: the panel packed[first : first + L], the tile tiles[row : row + L + 1]; add to less[panel] and
# upto[panel] the tile's items that score below targets[panel], and below or equal to it, (PANEL,) each.
# find_above: found[u], the word whose bit c says that item c does not score up to least[panel, u]: it is
# above, or either is NaN; where it isn't 0, scores[u] are all scores of the tile.
if vectors.USABLE:
    score_tile, score_rows = vector_score_tile, vector_score_rows
else:
    score_tile, score_rows = plain_score_tile, plain_score_rows
if vectors.WIDE:
    count_panel, find_above = wide_count_panel, wide_find_above
elif vectors.USABLE:
    count_panel, find_above = narrow_count_panel, narrow_find_above
else:
    count_panel, find_above = plain_count_panel, plain_find_above
