"""Scores and counts over all items without a score matrix (model specification 5).

Item vectors are laid out in tiles of `TILE` items: (tiles, L + 1, TILE), row 0 the biases, L a
multiple of four. A tile is scored and counted at once. Every score, of
a candidate, of the target, or shown to a user, comes from `score_tile` on a full tile, so equal
items get equal bits and ties are exact. Padding has bias NaN, which neither < nor == counts.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.scalars import absorb, unit24
from ivbpr_numba.kernels.cpu.vectors import WIDTH
from ivbpr_numba.kernels.scalar.random import RAND

__all__ = ["count_ranks", "count_row", "random_scores", "score_items"]

GROUP = 16  # users that share one pass over the item tiles


# Elementwise multiply–adds in a written order; NaN and infinities keep their meaning.
@kernel(fastmath={"contract"})
def plain_score_tile(user, tile, out):
    """`score_tile` with plain loops."""
    bias = tile[0]
    for c in range(TILE):
        out[c] = bias[c]
    for k in range(0, user.shape[0], 4):
        u0, u1, u2, u3 = user[k], user[k + 1], user[k + 2], user[k + 3]
        v0, v1, v2, v3 = tile[k + 1], tile[k + 2], tile[k + 3], tile[k + 4]
        for c in range(TILE):
            out[c] += u0 * v0[c] + u1 * v1[c] + u2 * v2[c] + u3 * v3[c]


@kernel
def count_tile(scores, target):
    """Number of scores below and equal to `target`."""
    less = 0
    equal = 0
    for c in range(scores.shape[0]):
        less += scores[c] < target
        equal += scores[c] == target
    return less, equal


@kernel
def plain_count_group(users, tile, start, stop, targets, buffer, where, less, equal):
    """`count_group` by way of the scores."""
    for u in range(start, stop):
        plain_score_tile(users[u], tile, buffer)
        below, same = count_tile(buffer, targets[u - start])
        less[u, where] += below
        equal[u, where] += same


@kernel
def vector_score_tile(user, tile, out):
    """`score_tile` with four vectors of items in registers; products are added one by one from k = 0 on."""
    for c in range(0, TILE, 4 * WIDTH):
        c1, c2, c3 = c + WIDTH, c + 2 * WIDTH, c + 3 * WIDTH
        s0, s1 = vectors.load(tile, 0, c), vectors.load(tile, 0, c1)
        s2, s3 = vectors.load(tile, 0, c2), vectors.load(tile, 0, c3)
        for k in range(user.shape[0]):
            p = vectors.splat(user[k])
            s0 = vectors.fma(p, vectors.load(tile, k + 1, c), s0)
            s1 = vectors.fma(p, vectors.load(tile, k + 1, c1), s1)
            s2 = vectors.fma(p, vectors.load(tile, k + 1, c2), s2)
            s3 = vectors.fma(p, vectors.load(tile, k + 1, c3), s3)
        vectors.store(out, 0, c, s0)
        vectors.store(out, 0, c1, s1)
        vectors.store(out, 0, c2, s2)
        vectors.store(out, 0, c3, s3)


@kernel
def count_of(a, b, c, d, target):
    """Numbers of the four vectors' lanes below and equal to the target."""
    t = vectors.splat(target)
    less = vectors.count_less(a, t) + vectors.count_less(b, t)
    less += vectors.count_less(c, t) + vectors.count_less(d, t)
    equal = vectors.count_equal(a, t) + vectors.count_equal(b, t)
    equal += vectors.count_equal(c, t) + vectors.count_equal(d, t)
    return less, equal


@kernel
def vector_count_group(users, tile, start, stop, targets, buffer, where, less, equal):
    """`count_group` with four users by four vectors of items in registers, summed as the scores are."""
    for u in range(start, stop, 4):
        # Places beyond the last user repeat it; what they count is thrown away.
        u1, u2, u3 = min(u + 1, stop - 1), min(u + 2, stop - 1), min(u + 3, stop - 1)
        t0, t1 = targets[u - start], targets[u1 - start]
        t2, t3 = targets[u2 - start], targets[u3 - start]
        l0 = l1 = l2 = l3 = np.int64(0)
        e0 = e1 = e2 = e3 = np.int64(0)
        for c in range(0, TILE, 4 * WIDTH):
            c1, c2, c3 = c + WIDTH, c + 2 * WIDTH, c + 3 * WIDTH
            s00 = s10 = s20 = s30 = vectors.load(tile, 0, c)
            s01 = s11 = s21 = s31 = vectors.load(tile, 0, c1)
            s02 = s12 = s22 = s32 = vectors.load(tile, 0, c2)
            s03 = s13 = s23 = s33 = vectors.load(tile, 0, c3)
            for k in range(users.shape[1]):
                v0, v1 = vectors.load(tile, k + 1, c), vectors.load(tile, k + 1, c1)
                v2, v3 = vectors.load(tile, k + 1, c2), vectors.load(tile, k + 1, c3)
                p = vectors.splat(users[u, k])
                s00, s01 = vectors.fma(p, v0, s00), vectors.fma(p, v1, s01)
                s02, s03 = vectors.fma(p, v2, s02), vectors.fma(p, v3, s03)
                p = vectors.splat(users[u1, k])
                s10, s11 = vectors.fma(p, v0, s10), vectors.fma(p, v1, s11)
                s12, s13 = vectors.fma(p, v2, s12), vectors.fma(p, v3, s13)
                p = vectors.splat(users[u2, k])
                s20, s21 = vectors.fma(p, v0, s20), vectors.fma(p, v1, s21)
                s22, s23 = vectors.fma(p, v2, s22), vectors.fma(p, v3, s23)
                p = vectors.splat(users[u3, k])
                s30, s31 = vectors.fma(p, v0, s30), vectors.fma(p, v1, s31)
                s32, s33 = vectors.fma(p, v2, s32), vectors.fma(p, v3, s33)
            below, same = count_of(s00, s01, s02, s03, t0)
            l0, e0 = l0 + below, e0 + same
            below, same = count_of(s10, s11, s12, s13, t1)
            l1, e1 = l1 + below, e1 + same
            below, same = count_of(s20, s21, s22, s23, t2)
            l2, e2 = l2 + below, e2 + same
            below, same = count_of(s30, s31, s32, s33, t3)
            l3, e3 = l3 + below, e3 + same
        less[u, where] += l0
        equal[u, where] += e0
        if u + 1 < stop:
            less[u + 1, where] += l1
            equal[u + 1, where] += e1
        if u + 2 < stop:
            less[u + 2, where] += l2
            equal[u + 2, where] += e2
        if u + 3 < stop:
            less[u + 3, where] += l3
            equal[u + 3, where] += e3


# score_tile: out[c] = bias_c + user · item_c for the items of one tile.
# count_group: add to less[u, where] and equal[u, where] the tile's items that score below and equal to
# targets[u − start], for the users u = start … stop−1, with the very bits of `score_tile`.
if vectors.USABLE:
    score_tile, count_group = vector_score_tile, vector_count_group
else:
    score_tile, count_group = plain_score_tile, plain_count_group


@kernel
def gather_tile(tiles, slots, lo, hi, out):
    """Copy the items slots[lo:hi] into one tile; the rest of it is padding."""
    out[0] = np.nan
    for n in range(lo, hi):
        tile, lane = slots[n] // TILE, slots[n] % TILE
        for row in range(out.shape[0]):
            out[row, n - lo] = tiles[tile, row, lane]


@kernel
def score_own(user, tiles, slots, lo, hi, gathered, out):
    """Scores of one user's own items slots[lo:hi] into out[0:hi−lo]."""
    buffer = np.empty(TILE, np.float32)
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        gather_tile(tiles, slots, first, last, gathered)
        score_tile(user, gathered, buffer)
        for n in range(first, last):
            out[n - lo] = buffer[n - first]


@kernel(parallel=True)
def count_ranks(users, tiles, tile_class, own_indptr, own_slots, slot_class, less, equal):
    """Count, for every user and item class, candidates scored below and equal to the target.

    Parameters
    ----------
    users : (n, L) float32
    tiles : (tiles, L + 1, TILE) float32
    tile_class : (tiles,) int64, class of all items of a tile
    own_indptr, own_slots : CSR of the users' own items as slots (tile · TILE + lane)
        The first of each user is the target; all of them are no candidates.
    slot_class : (tiles · TILE,) int8
    less, equal : (n, classes) int64, filled
    """
    n = users.shape[0]
    for group in prange((n + GROUP - 1) // GROUP):
        start = group * GROUP
        stop = min(start + GROUP, n)
        targets = np.empty(GROUP, np.float32)
        gathered = np.zeros((tiles.shape[1], TILE), np.float32)
        buffer = np.empty(TILE, np.float32)
        for u in range(start, stop):
            lo, hi = own_indptr[u], own_indptr[u + 1]
            own = np.empty(hi - lo, np.float32)
            score_own(users[u], tiles, own_slots, lo, hi, gathered, own)
            targets[u - start] = own[0]
            less[u] = 0
            equal[u] = 0
            for k in range(hi - lo):
                where = slot_class[own_slots[lo + k]]
                less[u, where] -= own[k] < own[0]
                equal[u, where] -= own[k] == own[0]
        for t in range(tiles.shape[0]):
            where = tile_class[t]
            count_group(users, tiles[t], start, stop, targets, buffer, where, less, equal)


@kernel(parallel=True)
def count_row(scores, item_class, own_indptr, own_items, less, equal):
    """The same counts from finished score rows (n, I), for scorers that aren't vectors."""
    for u in prange(scores.shape[0]):
        row = scores[u]
        lo, hi = own_indptr[u], own_indptr[u + 1]
        target = row[own_items[lo]]
        less[u] = 0
        equal[u] = 0
        for i in range(row.shape[0]):
            less[u, item_class[i]] += row[i] < target
            equal[u, item_class[i]] += row[i] == target
        for k in range(lo, hi):
            score = row[own_items[k]]
            less[u, item_class[own_items[k]]] -= score < target
            equal[u, item_class[own_items[k]]] -= score == target


@kernel(parallel=True)
def score_items(users, tiles, item_slot, out):
    """Scores of all items for some users: out (n, I) float32 in item order."""
    for u in prange(users.shape[0]):
        scored = np.empty(tiles.shape[0] * TILE, np.float32)
        for t in range(tiles.shape[0]):
            score_tile(users[u], tiles[t], scored[t * TILE : (t + 1) * TILE])
        for i in range(item_slot.shape[0]):
            out[u, i] = scored[item_slot[i]]


@kernel(parallel=True)
def random_scores(seed, users, out):
    """Scores of RAND: the top 24 bits of mix64(seed, RAND, u, i) as a fraction, into out (n, I) float32."""
    stream = absorb(absorb(np.uint64(0), seed), np.uint64(RAND))
    for n in prange(users.shape[0]):
        state = absorb(stream, np.uint64(users[n]))
        for i in range(out.shape[1]):
            out[n, i] = unit24(absorb(state, np.uint64(i)))
