"""The table of epoch segmentation: how well each epoch's parameters explain each event (specification 3).

A block of threads has an event. Attempts at negatives are made side by side, and of those that are
admissible the first count, as if made one after the other. The sum over negatives is LANES sums, each of
every LANES-th negative, added in order.
"""

import numpy as np

from ivbpr_numba.kernels.cuda.scalars import absorb, bounded, contains, logistic_loss, stream
from ivbpr_numba.kernels.cuda.scans import MOST_THREADS, block_scan
from ivbpr_numba.kernels.cuda.target import cuda, device, kernel, launch, open_shape, room
from ivbpr_numba.kernels.scalar.random import SEG

__all__ = ["event_likelihoods"]

LANES = 64
THREADS = 64
BLOCKS = 1024  # of events at a time
ZERO = np.float32(0)


@device
def draw_first(state, item, indices, lo, hi, n_items, chosen, wanted, shared):
    """The first `wanted` admissible items into chosen; the whole block calls it."""
    found, attempt = np.int64(0), np.int64(0)
    while found < wanted:
        j = bounded(absorb(state, np.uint64(attempt + cuda.threadIdx.x)), n_items)
        admissible = np.int64(1) if j != item and not contains(indices, lo, hi, j) else np.int64(0)
        before, total = block_scan(shared, admissible)
        if admissible == 1 and found + before < wanted:
            chosen[found + before] = j
        found += total
        attempt += cuda.blockDim.x
        cuda.syncthreads()


@device
def epoch_score(user, item, latent, e):
    """x̂_ui(e) of packed rows (see `EpochVectors`)."""
    width = user.shape[0] - latent
    total = ZERO
    for k in range(latent):
        total += user[k] * item[k]
    left = latent + e * width
    for k in range(width):
        total += user[latent + k] * item[left + k]
    return total


@kernel(
    "void(u8, i8, i4[::1], i4[::1], i8, i8[::1], i4[::1], f4[:,::1], f4[:,::1], i8, i8[:,::1], f4[:,:,::1], "
    "f8[:,::1])",
    double="the table is given in float64; sums are made in float32, and converted once",
)
def explain_events(
    seed,
    iteration,
    of_users,
    of_items,
    n_negatives,
    indptr,
    indices,
    users,
    items,
    latent,
    chosen,
    lanes,
    out,
):
    """out[v, e] for the events blockIdx.x, blockIdx.x + gridDim.x, …"""
    shared = cuda.shared.array(MOST_THREADS, np.int64)
    own, n_epochs = cuda.blockIdx.x, out.shape[1]
    n_items = items.shape[0] - 1
    state = stream(seed, SEG, iteration)
    for v in range(cuda.blockIdx.x, out.shape[0], cuda.gridDim.x):
        u, i = np.int64(of_users[v]), np.int64(of_items[v])
        attempts = absorb(state, np.uint64(v))
        draw_first(attempts, i, indices, indptr[u], indptr[u + 1], n_items, chosen[own], n_negatives, shared)
        cuda.syncthreads()
        for n in range(cuda.threadIdx.x, LANES * n_epochs, cuda.blockDim.x):
            lane, e = n // n_epochs, n % n_epochs
            positive = epoch_score(users[u], items[i], latent, e)
            total = ZERO
            for k in range(lane, n_negatives, LANES):
                x = positive - epoch_score(users[u], items[chosen[own, k]], latent, e)
                total -= np.float32(logistic_loss(x))
            lanes[own, lane, e] = total
        cuda.syncthreads()
        for e in range(cuda.threadIdx.x, n_epochs, cuda.blockDim.x):
            total = ZERO
            for lane in range(LANES):
                total += lanes[own, lane, e]
            out[v, e] = total
        cuda.syncthreads()


def event_likelihoods(seed, iteration, events, n_negatives, pairs, epochs, out, shape=None):
    """out[v, e] = Σ over the event's negatives j of ln σ(x̂_ui(e) − x̂_uj(e)), the same negatives for all e.

    Parameters
    ----------
    seed : uint64
    iteration : int
    events : Events
    n_negatives : int
    pairs : Pairs
    epochs : EpochVectors
    out : (n, N) float64, filled
    shape : Shape, optional
    """
    if out.shape[0] == 0:
        return
    own = shape or open_shape(min(out.shape[0], BLOCKS), THREADS)
    chosen = room("chosen negatives", (own.blocks, max(n_negatives, 1)), np.int64)
    lanes = room("likelihood lanes", (own.blocks, LANES, out.shape[1]), np.float32)
    launch(explain_events, own, seed, iteration, *events, n_negatives, *pairs, *epochs, chosen, lanes, out)
