"""Searching and shuffling lists of numbers: pure functions that every target compiles."""

import numpy as np

from ivbpr_numba.kernels.scalar.random import absorb, bounded

__all__ = ["contains", "keyed_shuffle", "nth_admissible"]


def contains(indices, lo, hi, item):
    """Whether the sorted slice indices[lo:hi] holds `item`."""
    while lo < hi:
        mid = (lo + hi) >> 1
        value = indices[mid]
        if value == item:
            return True
        if value < item:
            lo = mid + 1
        else:
            hi = mid
    return False


def keyed_shuffle(key, out):
    """Fisher–Yates permutation of 0 … n−1 into `out`, a pure function of `key`."""
    n = out.shape[0]
    state = absorb(np.uint64(0), key)
    for r in range(n):
        out[r] = r
    for r in range(n - 1, 0, -1):
        s = bounded(absorb(state, np.uint64(r)), r + 1)
        held = out[r]
        out[r] = out[s]
        out[s] = held


def nth_admissible(x, lo, hi, indices, pool, weights, n_items):
    """The negative chosen by counting through the admissible items, for users who own almost all.

    `pool` lists candidate items in index order (empty: all items), `weights` their popularity
    (empty: all alike).
    """
    size = n_items if pool.shape[0] == 0 else pool.shape[0]
    total = np.int64(0)
    for c in range(size):
        item = np.int64(c) if pool.shape[0] == 0 else np.int64(pool[c])
        if not contains(indices, lo, hi, item):
            total += np.int64(1) if weights.shape[0] == 0 else np.int64(weights[item])
    left = bounded(x, total)
    chosen = np.int64(-1)
    for c in range(size):
        item = np.int64(c) if pool.shape[0] == 0 else np.int64(pool[c])
        if not contains(indices, lo, hi, item):
            left -= np.int64(1) if weights.shape[0] == 0 else np.int64(weights[item])
            if left < 0:
                chosen = item
                break
    return chosen
