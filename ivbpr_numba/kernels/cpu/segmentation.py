"""The table of epoch segmentation: how well each epoch's parameters explain each event (specification 3)."""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded, contains, stream
from ivbpr_numba.kernels.scalar.random import SEG

__all__ = ["event_likelihoods"]


# Sums over a few dozen coordinates: no guards, no infinities.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b):
    """a · b."""
    total = np.float32(0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@kernel
def item_scores(of_user, theta, of_item, style, bias, out):
    """out[e] = bias[e] + γ_u · γ_i + θ_u · θ_i(e): the latent part is the same in all epochs."""
    latent = dot(of_user, of_item)
    for e in range(out.shape[0]):
        out[e] = latent + bias[e] + dot(theta, style[e])


@kernel(parallel=True)
def event_likelihoods(seed, iteration, events, n_negatives, pairs, vectors, out):
    """out[v, e] = Σ over the event's negatives j of ln σ(x̂_ui(e) − x̂_uj(e)), the same negatives for all e.

    Parameters
    ----------
    seed : uint64
    iteration : int64
    events : Events
    n_negatives : int64
    pairs : Pairs
    vectors : EpochVectors
    out : (n, N) float64, filled
    """
    users, items = events
    indptr, indices = pairs
    user_factors, user_visual, item_factors, style, bias = vectors
    n_items, n_epochs = bias.shape
    state = stream(seed, SEG, iteration)
    for v in prange(users.shape[0]):
        u, i = users[v], items[v]
        lo, hi = indptr[u], indptr[u + 1]
        own = absorb(state, np.uint64(v))
        positive, negative = np.empty(n_epochs, np.float32), np.empty(n_epochs, np.float32)
        item_scores(user_factors[u], user_visual[u], item_factors[i], style[i], bias[i], positive)
        # Σ ln(1 + e^−|x|) as the logarithm of a product, taken before it could overflow.
        products = np.ones(n_epochs)
        out[v] = 0.0
        found, attempt = 0, np.uint64(0)
        while found < n_negatives:
            j = bounded(absorb(own, attempt), n_items)
            attempt += np.uint64(1)
            if j == i or contains(indices, lo, hi, j):
                continue
            found += 1
            item_scores(user_factors[u], user_visual[u], item_factors[j], style[j], bias[j], negative)
            for e in range(n_epochs):
                x = positive[e] - negative[e]
                out[v, e] += min(x, np.float32(0))
                products[e] *= 1.0 + math.exp(-abs(x))
            if found & 255 == 0 or found == n_negatives:
                for e in range(n_epochs):
                    out[v, e] -= math.log(products[e])
                    products[e] = 1.0
