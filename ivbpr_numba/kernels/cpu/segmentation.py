"""The table of epoch segmentation: how well each epoch's parameters explain each event (specification 3)."""

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu.sampling import contains, stream
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded, logistic_loss
from ivbpr_numba.kernels.scalar.random import SEG

__all__ = ["event_likelihoods"]


# Sums over a few dozen coordinates: no guards, no infinities.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def item_score(user, item, bias):
    """bias + user · item."""
    total = np.float32(0)
    for k in range(user.shape[0]):
        total += user[k] * item[k]
    return total + bias


@kernel(parallel=True)
def event_likelihoods(
    seed, iteration, users, items, n_negatives, indptr, indices, user_vectors, item_vectors, item_bias, out
):
    """out[v, e] = Σ over the event's negatives j of ln σ(x̂_ui(e) − x̂_uj(e)), the same negatives for all e.

    Parameters
    ----------
    seed : uint64
    iteration : int64
    users, items : (n,) int32, the events
    n_negatives : int64
    indptr, indices : training pairs by user, items ascending
    user_vectors : (U, L) float32, [γ_u, θ_u]
    item_vectors : (N, I, L) float32, [γ_i, θ_i(e)]
    item_bias : (N, I) float32
    out : (n, N) float64, filled
    """
    n_epochs, n_items = item_bias.shape
    state = stream(seed, SEG, iteration)
    for v in prange(users.shape[0]):
        u, i = users[v], items[v]
        lo, hi = indptr[u], indptr[u + 1]
        own = absorb(state, np.uint64(v))
        user = user_vectors[u]
        positive = np.empty(n_epochs, np.float32)
        for e in range(n_epochs):
            positive[e] = item_score(user, item_vectors[e, i], item_bias[e, i])
            out[v, e] = 0.0
        found, attempt = 0, np.uint64(0)
        while found < n_negatives:
            j = bounded(absorb(own, attempt), n_items)
            attempt += np.uint64(1)
            if j == i or contains(indices, lo, hi, j):
                continue
            found += 1
            for e in range(n_epochs):
                x = positive[e] - item_score(user, item_vectors[e, j], item_bias[e, j])
                out[v, e] -= logistic_loss(np.float64(x))
