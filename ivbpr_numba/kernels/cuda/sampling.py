"""Drawing the triples of one iteration (model specification 2.4): the CPU's, bit by bit.

A thread draws all positives of a user, which follow from each other; then a thread draws each negative.
"""

import numpy as np

from ivbpr_numba.kernels.cuda.scalars import (
    absorb,
    bounded,
    contains,
    keyed_shuffle,
    nth_admissible,
    stream,
)
from ivbpr_numba.kernels.cuda.scans import running_sums
from ivbpr_numba.kernels.cuda.target import cuda, fill, kernel, launch, room, spread
from ivbpr_numba.kernels.cuda.turns import shuffle
from ivbpr_numba.kernels.scalar import random
from ivbpr_numba.kernels.scalar.random import MAX_ATTEMPTS, NEG, ORDER, POS, USER

__all__ = ["count_draws", "draw_triples", "key_of", "place_draws", "user_order"]


def key_of(seed, name, iteration):
    """`scalar.random.stream` for plain Python."""
    return np.uint64(random.mix64(seed, name, iteration))


@kernel("void(i8[::1], i4[::1], i8[::1])")
def take(values, places, out):
    """out[n] = values[places[n]]."""
    for n in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[n] = values[places[n]]


def user_order(seed, iteration, eligible, out, shape=None):
    """Order in which the users of one iteration are visited: fills `out`, (n,) int64."""
    places = room("user places", out.shape[0], np.int32)
    shuffle(key_of(seed, ORDER, iteration), places, shape)
    launch(take, spread(out.shape[0], 256, shape), eligible, places, out)


@kernel("void(u8, i8, i8[::1], i8, i8[::1])")
def count_users(seed, iteration, eligible, n_draws, draws):
    """One thread for each draw."""
    state = stream(seed, USER, iteration)
    for m in range(cuda.grid(1), n_draws, cuda.gridsize(1)):
        user = eligible[bounded(absorb(state, np.uint64(m)), eligible.shape[0])]
        cuda.atomic.add(draws, user, np.int64(1))


def count_draws(seed, iteration, eligible, n_draws, draws, shape=None):
    """Distribute `n_draws` draws over the eligible users: fills `draws`, (U,) int64."""
    fill(draws, 0)
    launch(count_users, spread(n_draws, 256, shape), seed, iteration, eligible, n_draws, draws)


@kernel("void(i8[::1], i8[::1], i8[::1])")
def draws_in_order(order, draws, out):
    """out[v] = draws[order[v]]."""
    for v in range(cuda.grid(1), order.shape[0], cuda.gridsize(1)):
        out[v] = draws[order[v]]


def place_draws(order, draws, offsets, shape=None):
    """First triple of every visit, and their number at the end: fills `offsets`, (visits + 1,) int64."""
    launch(draws_in_order, spread(order.shape[0], 256, shape), order, draws, offsets)
    running_sums(offsets, shape)


@kernel(
    "void(u8, i8, i8[::1], i8[::1], i8[::1], i4[::1], i8, i8, i4[::1], i4[::1], i4[::1], i4[::1], "
    "i4[::1], i8[::1])"
)
def draw_positives(
    seed,
    iteration,
    order,
    offsets,
    indptr,
    indices,
    code,
    n_trained,
    permutations,
    users,
    positives,
    numbers,
    drawn,
    fallbacks,
):
    """Users, positives and the number of each draw of its user; one thread for each visit."""
    state = stream(seed, POS, iteration)
    for v in range(cuda.grid(1), order.shape[0], cuda.gridsize(1)):
        u = order[v]
        lo, hi = indptr[u], indptr[u + 1]
        size = hi - lo
        permutation = permutations[lo:hi]
        own = absorb(state, np.uint64(u))
        n_draws = offsets[v + 1] - offsets[v]
        if code != 0 and size == n_trained:
            cuda.atomic.add(fallbacks, 0, n_draws)
        within, turn = size, np.uint64(0)
        for k in range(n_draws):
            if within == size:
                keyed_shuffle(absorb(own, turn), permutation)
                within = 0
                turn += np.uint64(1)
            t = offsets[v] + k
            users[t] = u
            positives[t] = indices[lo + permutation[within]]
            numbers[t] = k
            if drawn.shape[0] > 0:
                drawn[t] = lo + permutation[within]
            within += 1


@kernel("void(u8, i8, i8[::1], i4[::1], i8, i4[::1], i8[::1], i4[::1], i8[::1], i4[::1], i4[::1])")
def draw_negatives(
    seed, iteration, indptr, indices, code, trained, counts, everything, alike, users, negatives
):
    """Replace the number of each draw by its negative; one thread for each triple."""
    state = stream(seed, NEG, iteration)
    n_items = counts.shape[0]
    for t in range(cuda.grid(1), users.shape[0], cuda.gridsize(1)):
        u = users[t]
        lo, hi = indptr[u], indptr[u + 1]
        law = np.int64(0) if hi - lo == trained.shape[0] else code
        draw = absorb(absorb(state, np.uint64(u)), np.uint64(negatives[t]))
        item = np.int64(-1)
        for attempt in range(MAX_ATTEMPTS):
            x = absorb(draw, np.uint64(attempt))
            if law == 0:
                candidate = bounded(x, n_items)
            elif law == 1:
                candidate = np.int64(trained[bounded(x, trained.shape[0])])
            else:
                candidate = np.int64(indices[bounded(x, indices.shape[0])])
            if not contains(indices, lo, hi, candidate):
                item = candidate
                break
        if item < 0:
            x = absorb(draw, np.uint64(MAX_ATTEMPTS))
            pool = everything if law == 0 else trained
            weights = counts if law == 2 else alike
            item = nth_admissible(x, lo, hi, indices, pool, weights, n_items)
        negatives[t] = item


def draw_triples(seed, iteration, visits, pairs, law, out, drawn, shape=None):
    """Draw all triples of an iteration, in order of application.

    Parameters
    ----------
    seed : uint64
    iteration : int, from 1
    visits : Visits
    pairs : Pairs
    law : NegativeLaw
    out : Triples of (offsets[-1],), filled
    drawn : (offsets[-1],) int32, filled with the training pair of each triple; or empty
    shape : Shape, optional

    Returns
    -------
    int
        Triples whose user had no admissible negative under `law` and used the uniform one.
    """
    order, offsets = visits
    indptr, indices = pairs
    code, trained, counts = law
    fallbacks = room("fallbacks", 1, np.int64)
    fill(fallbacks, 0)
    permutations = room("permutations", indices.shape[0], np.int32)
    launch(
        draw_positives, spread(order.shape[0], 128, shape), seed, iteration, order, offsets, indptr, indices,
        code, trained.shape[0], permutations, *out, drawn, fallbacks,
    )  # fmt: skip
    launch(
        draw_negatives, spread(out.users.shape[0], 128, shape), seed, iteration, indptr, indices, code,
        trained, counts, trained[:0], counts[:0], out.users, out.negatives,
    )  # fmt: skip
    return int(fallbacks.copy_to_host()[0])
