"""The n best items of a user without a score row: tiles are scored, a heap keeps the best.

Scores have the bits that `ranking.count_ranks` compares. Of equal scores the item with the smaller row is
better: the order is total, and every thread finds the same items. Items come in order of their rows, so one
that only equals the worst kept item never replaces it.
"""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.arguments import TILE
from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.panels import PANEL, fill_panels, find_above
from ivbpr_numba.kernels.cpu.ranking import panels_together
from ivbpr_numba.kernels.cpu.scalars import contains
from ivbpr_numba.kernels.cpu.vectors import lowest_bit

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


@kernel
def words_of(allowed, words):
    """The items of each tile that are allowed as the bits of a word."""
    words[:] = 0
    for item in range(allowed.shape[0]):
        words[item // TILE] |= np.uint64(allowed[item]) << np.uint64(item % TILE)


@kernel
def skip(owned, lo, hi, base):
    """First place of owned[lo:hi], ascending, whose item is not below `base`."""
    while lo < hi and owned[lo] < base:
        lo += 1
    return lo


@kernel
def word_of(owned, lo, hi, base):
    """The items of owned[lo:hi] that lie in the tile from `base` on as the bits of a word."""
    word = np.uint64(0)
    while lo < hi and owned[lo] < base + TILE:
        word |= np.uint64(1) << np.uint64(owned[lo] - base)
        lo += 1
    return word


@kernel
def top_of_group(users, start, stop, tiles, words, indptr, owned, scores, items, sizes):
    """`top_items` for the users start … stop−1."""
    length = users.shape[1]
    panels = (stop - start + PANEL - 1) // PANEL
    packed = np.empty((panels * length, PANEL), np.float32)
    fill_panels(users, start, stop, packed)
    rows = tiles.reshape(-1, TILE)
    # Scores that an item must be above. All are above NaN: the list is not full.
    least = np.full((panels, PANEL), np.nan, np.float32)
    found, scored = np.zeros(PANEL, np.uint64), np.empty((PANEL, TILE), np.float32)
    sizes[start:stop] = 0
    own = np.zeros((panels, PANEL), np.int64)  # what of `owned` is not behind us yet
    for n in range(stop - start):
        own[n // PANEL, n % PANEL] = indptr[start + n]
    for t in range(tiles.shape[0]):
        for p in range(panels):
            find_above(packed, p * length, length, rows, t * (length + 1), least, p, found, scored)
            for place in range(PANEL):
                word = found[place] & words[t]
                u = start + p * PANEL + place
                if word == 0 or u >= stop:
                    continue
                base = t * TILE
                own[p, place] = skip(owned, own[p, place], indptr[u + 1], base)
                word &= ~word_of(owned, own[p, place], indptr[u + 1], base)
                sizes[u] = offer_tile(scored[place], word, base, scores[u], items[u], sizes[u])
                if sizes[u] == scores.shape[1]:
                    least[p, place] = scores[u, 0]
    for u in range(start, stop):
        sort_heap(scores[u], items[u], sizes[u])


@kernel
def offer_tile(scored, word, base, kept, chosen, size):
    """Offer the items of a tile whose bits are set; returns the new size."""
    while word != 0:
        c = lowest_bit(word)
        word &= word - np.uint64(1)
        if scored[c] == scored[c]:  # NaN is no score to rank by
            size = offer(kept, chosen, size, scored[c], base + c)
    return size


@kernel(parallel=True)
def top_items(users, tiles, indptr, owned, allowed, scores, items, sizes):
    """The best allowed items of some users that aren't their own.

    Parameters
    ----------
    users : (n, L) float32
    tiles : (tiles, L + 1, TILE) float32, items in order of their rows (see `panels`)
    indptr, owned : CSR of the items to leave out, ascending within a user; user u of `users` has row u
    allowed : (I,) bool
    scores, items : (n, N) float32 and int32, N > 0, filled from best to worst
    sizes : (n,) int64, how many were found
    """
    n = users.shape[0]
    words = np.empty(tiles.shape[0], np.uint64)
    words_of(allowed, words)
    group = panels_together(n) * PANEL
    for task in prange((n + group - 1) // group):
        start = task * group
        top_of_group(users, start, min(start + group, n), tiles, words, indptr, owned, scores, items, sizes)


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
