"""The table of epoch segmentation: how well each epoch's parameters explain each event (specification 3).

Σ ln σ(x) = Σ min(x, 0) − ln Π (1 + e^−|x|): one logarithm for many negatives, taken before the product could
overflow.
"""

import math

import numpy as np
from numba import prange

from ivbpr_numba.kernels.compiling import kernel
from ivbpr_numba.kernels.cpu import vectors
from ivbpr_numba.kernels.cpu.exponential import exp_below
from ivbpr_numba.kernels.cpu.scalars import absorb, bounded, contains, stream
from ivbpr_numba.kernels.cpu.vectors import WIDTH
from ivbpr_numba.kernels.scalar.random import SEG

__all__ = ["event_likelihoods"]

AT_ONCE = 256  # negatives to a logarithm: the product is at most 2²⁵⁶
CHUNKS = 256  # of events, each done by one thread
SIEVE = 32  # words of 64 bits that tell most items that a user does not own


@kernel
def sift(indices, lo, hi, sieve):
    """Set the bits of a user's items, by their number."""
    sieve[:] = 0
    for k in range(lo, hi):
        item = np.uint64(indices[k])
        sieve[(item >> np.uint64(6)) % np.uint64(SIEVE)] |= np.uint64(1) << (item & np.uint64(63))


@kernel
def draw_negatives(state, first, item, indices, lo, hi, sieve, n_items, n, chosen):
    """The next n items, not `item` nor among indices[lo:hi], into chosen; returns the next attempt."""
    found = 0
    while found < n:
        j = bounded(absorb(state, first), n_items)
        first += np.uint64(1)
        word = sieve[(np.uint64(j) >> np.uint64(6)) % np.uint64(SIEVE)]
        if word >> (np.uint64(j) & np.uint64(63)) & np.uint64(1) and contains(indices, lo, hi, j):
            continue
        chosen[found] = j
        found += j != item
    return first


# Sums over a few dozen coordinates: no guards, no infinities.
@kernel(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b):
    """a · b."""
    total = np.float32(0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@kernel
def item_scores(user, item, latent, out):
    """out[e] = x̂_ui(e) of packed rows (see `EpochVectors`)."""
    common = dot(user[:latent], item[:latent])
    theta = user[latent:]
    width = theta.shape[0]
    for e in range(out.shape[0]):
        left = latent + e * width
        out[e] = common + dot(theta, item[left : left + width])


@kernel
def plain_explained(users, u, items, latent, chosen, n, positive, room, out):
    """`explained` item by item."""
    negative, products = room[0, : out.shape[0]], np.ones(out.shape[0])
    for k in range(n):
        item_scores(users[u], items[chosen[k]], latent, negative)
        for e in range(out.shape[0]):
            x = positive[e] - negative[e]
            out[e] += min(x, np.float32(0))
            products[e] *= 1.0 + math.exp(-abs(x))
    for e in range(out.shape[0]):
        out[e] -= math.log(products[e])


@kernel
def vector_explained(users, u, items, latent, chosen, n, positive, room, out):
    """`explained` with sixteen negatives in the lanes of a vector."""
    n_epochs, width = out.shape[0], users.shape[1] - latent
    nobody = items.shape[0] - 1  # the row that every score is above
    zero, one = vectors.splat(np.float32(0)), vectors.splat(np.float32(1))
    products, below = 2 * WIDTH, 2 * WIDTH + n_epochs  # rows of the room, behind two for each negative
    for e in range(n_epochs):
        vectors.store(room, products + e, 0, one)
        vectors.store(room, below + e, 0, zero)
    chosen[n : n + 2 * WIDTH] = nobody
    for first in range(0, n, WIDTH):
        for k in range(WIDTH):
            vectors.store(room, WIDTH + k, 0, zero)
        for c in range(0, latent, WIDTH):
            gamma = vectors.load(users, u, c)
            for k in range(WIDTH):
                vectors.prefetch(items, chosen[first + WIDTH + k], c)  # the next sixteen are on their way
                common = vectors.load(room, WIDTH + k, 0)
                common = vectors.fma(gamma, vectors.load(items, chosen[first + k], c), common)
                vectors.store(room, WIDTH + k, 0, common)
        for e in range(n_epochs):
            left = latent + e * width
            for c in range(0, width, WIDTH):
                theta, so_far = vectors.load(users, u, latent + c), WIDTH if c == 0 else 0
                for k in range(WIDTH):
                    vectors.prefetch(items, chosen[first + WIDTH + k], left + c)
                    score = vectors.load(room, so_far + k, 0)
                    score = vectors.fma(theta, vectors.load(items, chosen[first + k], left + c), score)
                    vectors.store(room, k, 0, score)
            x = vectors.sub(vectors.splat(positive[e]), vectors.row_totals(room, 0))
            lower = vectors.smaller(x, zero)
            size = exp_below(vectors.smaller(x, vectors.sub(zero, x)))
            product = vectors.load(room, products + e, 0)
            vectors.store(room, products + e, 0, vectors.fma(product, size, product))
            vectors.store(room, below + e, 0, vectors.add(vectors.load(room, below + e, 0), lower))
    for e in range(n_epochs):
        product = 1.0
        for lane in range(WIDTH):
            product *= np.float64(room[products + e, lane])
            out[e] += np.float64(room[below + e, lane])
        out[e] -= math.log(product)


# out[e] += Σ ln σ(positive[e] − x̂_uj(e)) over the items j = chosen[0] … chosen[n−1], at most AT_ONCE; two
# vectors behind them in `chosen` are overwritten. `room` has 32 rows and two for every epoch, and at least
# sixteen columns and one for every epoch.
explained = vector_explained if vectors.USABLE else plain_explained


@kernel(parallel=True)
def event_likelihoods(seed, iteration, events, n_negatives, pairs, epochs, out):
    """out[v, e] = Σ over the event's negatives j of ln σ(x̂_ui(e) − x̂_uj(e)), the same negatives for all e.

    Parameters
    ----------
    seed : uint64
    iteration : int64
    events : Events
    n_negatives : int64
    pairs : Pairs
    epochs : EpochVectors
    out : (n, N) float64, filled
    """
    of_users, of_items = events
    indptr, indices = pairs
    users, items, latent = epochs
    n, n_epochs = out.shape
    n_items = items.shape[0] - 1
    state = stream(seed, SEG, iteration)
    for chunk in prange(CHUNKS):
        chosen = np.empty(AT_ONCE + 2 * WIDTH, np.int64)
        positive = np.empty(n_epochs, np.float32)
        room = np.empty((2 * WIDTH + 2 * n_epochs, max(WIDTH, n_epochs)), np.float32)
        sieve = np.empty(SIEVE, np.uint64)
        for v in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            u, i = of_users[v], of_items[v]
            lo, hi = indptr[u], indptr[u + 1]
            own, attempt = absorb(state, np.uint64(v)), np.uint64(0)
            item_scores(users[u], items[i], latent, positive)
            sift(indices, lo, hi, sieve)
            out[v] = 0.0
            for first in range(0, n_negatives, AT_ONCE):
                size = min(AT_ONCE, n_negatives - first)
                attempt = draw_negatives(own, attempt, i, indices, lo, hi, sieve, n_items, size, chosen)
                explained(users, u, items, latent, chosen, size, positive, room, out[v])
