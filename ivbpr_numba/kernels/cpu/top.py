"""The n best items of a user without a score row: tiles are scored, a heap keeps the best.

Scores come from `ranking.score_tile`, so they have the bits that `ranking.count_ranks` compares. Of equal
scores the item with the smaller row is better: the order is total, and every thread finds the same items.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.ranking import score_tile
from ivbpr_numba.kernels.cpu.scalars import contains

__all__ = ["best_of_rows", "top_items"]


@kernel
def worse(score_a, item_a, score_b, item_b):
    """Whether a ranks below b."""
    return score_a < score_b or (score_a == score_b and item_a > item_b)


@kernel
def sift_down(scores, items, start, size):
    """Restore the heap, whose root is the worst kept item, below `start`."""
    while True:
        child = 2 * start + 1
        if child >= size:
            return
        if child + 1 < size and worse(scores[child + 1], items[child + 1], scores[child], items[child]):
            child += 1
        if not worse(scores[child], items[child], scores[start], items[start]):
            return
        scores[start], scores[child] = scores[child], scores[start]
        items[start], items[child] = items[child], items[start]
        start = child


@kernel
def offer(scores, items, size, score, item):
    """Put an item into the heap if it belongs there; returns the new size."""
    if size < scores.shape[0]:
        place = size
        scores[place], items[place] = score, item
        while place > 0:
            above = (place - 1) // 2
            if not worse(scores[place], items[place], scores[above], items[above]):
                break
            scores[place], scores[above] = scores[above], scores[place]
            items[place], items[above] = items[above], items[place]
            place = above
        return size + 1
    if worse(scores[0], items[0], score, item):
        scores[0], items[0] = score, item
        sift_down(scores, items, 0, size)
    return size


@kernel
def sort_heap(scores, items, size):
    """Turn the heap into the list from best to worst."""
    for last in range(size - 1, 0, -1):
        scores[0], scores[last] = scores[last], scores[0]
        items[0], items[last] = items[last], items[0]
        sift_down(scores, items, 0, last)


@kernel(parallel=True)
def top_items(users, tiles, indptr, owned, allowed, scores, items, sizes):
    """The best allowed items of some users that aren't their own.

    Parameters
    ----------
    users : (n, L) float32
    tiles : (tiles, L + 1, TILE) float32, items in order of their rows (see `ranking`)
    indptr, owned : CSR of the items to leave out, ascending within a user; user u of `users` has row u
    allowed : (I,) bool
    scores, items : (n, N) float32 and int32, filled from best to worst
    sizes : (n,) int64, how many were found
    """
    n_items = allowed.shape[0]
    for u in prange(users.shape[0]):
        buffer = np.empty(TILE, np.float32)
        kept, chosen, size = scores[u], items[u], 0
        lo, hi = indptr[u], indptr[u + 1]
        for t in range(tiles.shape[0]):
            score_tile(users[u], tiles[t], buffer)
            base = t * TILE
            lanes = min(TILE, n_items - base)
            if size == kept.shape[0]:
                least = kept[0]
                found = 0
                for c in range(lanes):
                    found += buffer[c] >= least
                if found == 0:
                    continue
            for c in range(lanes):
                item = base + c
                if size == kept.shape[0] and buffer[c] < kept[0]:
                    continue
                # NaN is no score to rank by.
                if buffer[c] == buffer[c] and allowed[item] and not contains(owned, lo, hi, item):
                    size = offer(kept, chosen, size, buffer[c], item)
        sort_heap(kept, chosen, size)
        sizes[u] = size


@kernel(parallel=True)
def best_of_rows(rows, indptr, owned, allowed, scores, items, sizes):
    """The same from finished score rows (n, I) float32, for scorers that aren't vectors."""
    for u in prange(rows.shape[0]):
        kept, chosen, size = scores[u], items[u], 0
        lo, hi = indptr[u], indptr[u + 1]
        for item in range(rows.shape[1]):
            score = rows[u, item]
            if score == score and allowed[item] and not contains(owned, lo, hi, item):
                size = offer(kept, chosen, size, score, item)
        sort_heap(kept, chosen, size)
        sizes[u] = size
