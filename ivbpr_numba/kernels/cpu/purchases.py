"""Choosing what the shoppers of the built-in world buy (model specification 12)."""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded
from ivbpr_numba.kernels.scalar.random import WORLD

__all__ = ["choose_items"]

# Word of the number that chooses among the candidates; theirs are 0, 1, …
CHOICE = 1 << 32


@kernel
def sample_softmax(x, kappa, uniform):
    """Index drawn with probability ∝ exp(κ x), −1 when every x is −∞; destroys `x`.

    This is the law of argmax(κ x + Gumbel noise) with one random number instead of one per candidate.
    """
    largest = -np.inf
    for c in range(x.shape[0]):
        largest = max(largest, x[c])
    if largest == -np.inf:
        return -1
    total = 0.0
    for c in range(x.shape[0]):
        x[c] = math.exp(kappa * (x[c] - largest))
        total += x[c]
    chosen = -1
    reached = 0.0
    for c in range(x.shape[0]):
        if x[c] > 0.0:
            chosen = c
            reached += x[c]
            if reached > uniform * total:
                break
    return chosen


@kernel(parallel=True)
def choose_items(seed, first, last, orders, candidates, kappa, tastes, shelf, out):
    """Fill in the item of every purchase of the users first … last−1.

    Items are counted in order of release here, so that those on sale come first.

    Parameters
    ----------
    seed : uint64
    first, last : int64
    orders : Orders
    candidates : int64, size of the drawn candidate set; 0 takes every item on sale
    kappa : float64
    tastes : Tastes
    shelf : Shelf
    out : (n,) int32, filled
    """
    indptr, released, epochs = orders
    taste, taste_map, style, latent = tastes
    numbers, columns = shelf
    n_items, n_features = numbers.shape[0], style.shape[1]
    chunks = min(last - first, 128)
    for chunk in prange(chunks):
        x = np.empty(n_items if candidates == 0 else candidates)
        drawn = np.empty(candidates, np.int64)
        weights = np.empty(n_features)
        begin, end = chunk * (last - first) // chunks, (chunk + 1) * (last - first) // chunks
        for u in range(first + begin, first + end):
            user_state = absorb(absorb(absorb(np.uint64(0), seed), np.uint64(WORLD)), np.uint64(u))
            epoch = -1
            for n in range(indptr[u], indptr[u + 1]):
                if epochs[n] != epoch:
                    epoch = epochs[n]
                    for f in range(n_features):
                        weights[f] = style[epoch, f]
                        for a in range(taste.shape[1]):
                            weights[f] += taste[u, a] * taste_map[a, f]
                size = released[n] if candidates == 0 else candidates
                chosen, attempt = -1, 0
                while chosen < 0:  # repeats only if all drawn candidates are owned
                    state = absorb(absorb(user_state, np.uint64(n - indptr[u])), np.uint64(attempt))
                    for c in range(size):
                        i = c
                        if candidates > 0:
                            i = bounded(absorb(state, np.uint64(c)), released[n])
                            drawn[c] = i
                        utility = numbers[i, 0]
                        for a in range(latent.shape[1]):
                            utility += latent[u, a] * numbers[i, 1 + a]
                        for k in range(columns.shape[1]):
                            if columns[i, k] == n_features:
                                break
                            utility += weights[columns[i, k]]
                        x[c] = utility
                    for earlier in range(indptr[u], n):
                        if candidates == 0:
                            x[out[earlier]] = -np.inf
                        else:
                            for c in range(size):
                                if drawn[c] == out[earlier]:
                                    x[c] = -np.inf
                    uniform = np.float64(absorb(state, np.uint64(CHOICE)) >> np.uint64(11)) * 2.0**-53
                    chosen = sample_softmax(x[:size], kappa, uniform)
                    attempt += 1
                out[n] = chosen if candidates == 0 else drawn[chosen]
