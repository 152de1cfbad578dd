"""Scores and counts over all items without a score matrix (model specification 5).

Items are laid out in tiles once; every tile is scored and counted in registers for several panels of users
(`panels`) while it is in the cache. Own items are scored apart and taken off the counts.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.panels import (
    PANEL,
    count_panel,
    fill_panels,
    gather_tile,
    score_rows,
    score_tile,
)
from ivbpr_numba.kernels.cpu.scalars import absorb, unit24
from ivbpr_numba.kernels.scalar.random import RAND

__all__ = ["count_ranks", "count_row", "fill_tiles", "panels_together", "random_scores", "score_items"]

PANELS = 16  # panels of users that share one pass over the item tiles, which come from memory
TASKS = 16  # at least so many groups of users, where there are so many panels
COUNTED = 1 << 14  # scores of one pass in 32-bit counters: they stay in the cache from class to class


@kernel(parallel=True)
def fill_tiles(vectors, bias, slot_item, tiles):
    """Lay items out in tiles.

    Parameters
    ----------
    vectors : (I, L) float32
    bias : (I,) float32
    slot_item : (tiles · TILE,) int64, item of each slot; −1 is padding
    tiles : (tiles, L + 1, TILE) float32, filled
    """
    for t in prange(tiles.shape[0]):
        gather_tile(vectors, bias, slot_item, t * TILE, t * TILE + TILE, tiles[t])


@kernel
def panels_together(n_users):
    """Panels that share one pass over the item tiles: enough that few users still make many tasks."""
    return max(1, min(PANELS, n_users // (TASKS * PANEL)))


@kernel
def count_group(users, start, stop, tiles, class_begin, targets, less, equal):
    """Count for the users start … stop−1 over all tiles; `count_ranks` without own items."""
    length = users.shape[1]
    panels = (stop - start + PANEL - 1) // PANEL
    packed = np.empty((panels * length, PANEL), np.float32)
    fill_panels(users, start, stop, packed)
    rows = tiles.reshape(-1, TILE)
    below, upto = np.empty((panels, PANEL), np.int64), np.empty((panels, PANEL), np.int64)
    for where in range(less.shape[1]):
        below[:] = 0
        upto[:] = 0
        for t in range(class_begin[where], class_begin[where + 1]):
            for p in range(panels):
                count_panel(packed, p * length, length, rows, t * (length + 1), targets, p, below, upto)
        for n in range(stop - start):
            p, place = n // PANEL, n % PANEL
            less[start + n, where] += below[p, place]
            equal[start + n, where] += upto[p, place] - below[p, place]


@kernel
def longest(indptr, start, stop):
    """Most items of one of the users start … stop−1."""
    most = 0
    for u in range(start, stop):
        most = max(most, indptr[u + 1] - indptr[u])
    return most


@kernel
def count_own(user, vectors, bias, classes, owned, lo, hi, scores, less, equal):
    """Take a user's own items owned[lo:hi] off the counts; returns the score of the first, the target."""
    score_rows(user, vectors, bias, owned, lo, hi, scores)
    target = scores[0]
    for n in range(hi - lo):
        where = classes[owned[lo + n]]
        less[where] -= scores[n] < target
        equal[where] -= scores[n] == target
    return target


@kernel(parallel=True)
def count_ranks(users, vectors, bias, classes, tiles, class_begin, own_indptr, own_items, less, equal):
    """Count, for every user and item class, candidates scored below and equal to the target.

    Parameters
    ----------
    users : (n, L) float32
    vectors, bias, classes : (I, L) float32, (I,) float32, (I,) int8, of the items
    tiles : (tiles, L + 1, TILE) float32, the same items, those of one class together
    class_begin : (classes + 1,) int64, first tile of each class
    own_indptr, own_items : CSR of the users' own items
        The first of each user is the target; all of them are no candidates.
    less, equal : (n, classes) int64, filled
    """
    n = users.shape[0]
    group = panels_together(n) * PANEL
    for task in prange((n + group - 1) // group):
        start = task * group
        stop = min(start + group, n)
        targets = np.zeros((group // PANEL, PANEL), np.float32)
        scores = np.empty(longest(own_indptr, start, stop), np.float32)
        for u in range(start, stop):
            less[u] = 0
            equal[u] = 0
            targets[(u - start) // PANEL, (u - start) % PANEL] = count_own(
                users[u], vectors, bias, classes, own_items, own_indptr[u], own_indptr[u + 1],
                scores, less[u], equal[u],
            )  # fmt: skip
        count_group(users, start, stop, tiles, class_begin, targets, less, equal)


@kernel
def count_class(row, item_class, where, target):
    """How many scores of one class are below and equal to the target; by masks, so in vectors."""
    less, equal = np.int64(0), np.int64(0)
    for first in range(0, row.shape[0], COUNTED):
        scores, classes = row[first : first + COUNTED], item_class[first : first + COUNTED]
        below, alike = np.int32(0), np.int32(0)
        for i in range(scores.shape[0]):
            own = np.int32(classes[i] == where)
            below += own & np.int32(scores[i] < target)
            alike += own & np.int32(scores[i] == target)
        less += below
        equal += alike
    return less, equal


@kernel(parallel=True)
def count_row(scores, item_class, own_indptr, own_items, less, equal):
    """The same counts from finished score rows (n, I), for scorers that aren't vectors."""
    for u in prange(scores.shape[0]):
        row = scores[u]
        lo, hi = own_indptr[u], own_indptr[u + 1]
        target = row[own_items[lo]]
        for where in range(less.shape[1]):
            less[u, where], equal[u, where] = count_class(row, item_class, where, target)
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
